// Symmetric image-text contrast: src/ops/contrastive. All in f32: the matrices are small, the logits large.
#include "common.cuh"

constexpr int BLOCK = 256;
constexpr int TILE = 16;

// What every kernel here works on; the arrays from `unit` on lie in the workspace, `side` is 0 for images (rows of
// the logits) and 1 for texts (columns), and arrays of both sides have the images first.
struct Contrastive {
    const Run* run;
    Rows images, texts, pairs;
    uint32_t dim;
    // Most images and texts: the strides of the workspace.
    uint32_t cap_images, cap_texts;
    const float* image;
    const float* text;
    const float* log_inv_tau;
    // Soft targets [images, texts], or null.
    const float* soft_rows;
    const float* soft_cols;
    const float* scale;
    float* unit;       // [cap_images + cap_texts, dim] rows of norm 1
    float* rnorm;      // [cap_images + cap_texts]
    float* logits;     // [cap_images, cap_texts], in backward replaced by their gradient
    float* lse;        // [cap_images + cap_texts]
    float* targets;    // [cap_images + cap_texts] sum of the targets
    float* loss;       // [cap_images + cap_texts] cross-entropy; in backward, of images only, sum of dlogit * logit
    float* sums;       // {sum, rows and columns with a target}
    float* dimage;
    float* dtext;
    float* dlog_inv_tau;
};

namespace {

__device__ inline float target(const Contrastive& a, uint32_t side, uint32_t i, uint32_t j, uint32_t texts, uint32_t pairs) {
    const float* soft = side == 0 ? a.soft_rows : a.soft_cols;
    if (soft != nullptr) return soft[size_t(i) * texts + j];
    return i == j && i < pairs ? 1.0f : 0.0f;
}

// The side and the number within it of a block, false if there is none.
__device__ inline bool member(const Contrastive& a, uint32_t block, uint32_t& side, uint32_t& nth) {
    side = block >= a.cap_images;
    nth = side ? block - a.cap_images : block;
    return nth < rows_now(a.run, side ? a.texts : a.images);
}

__device__ inline float block_max(float x, float* shared) {
    x = warp_max(x);
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return warp_max(lane < BLOCK / 32 ? shared[lane] : -INFINITY);
}

}  // namespace

// Computes:      unit = x / sqrt(|x|^2 + 1e-12), rnorm the reciprocal root
// Shapes:        image, text: [images, dim], [texts, dim]
// Grid, Block:   cap_images + cap_texts blocks of 256; 128 bytes of shared memory
// Writes:        unit, rnorm
// Deterministic: yes
// Called by:     ops::contrastive::cuda
extern "C" __global__ void __launch_bounds__(BLOCK) contrastive_unit_f32(const Contrastive a) {
    __shared__ float shared[32];
    uint32_t side, nth;
    if (!member(a, blockIdx.x, side, nth)) return;
    const float* x = (side ? a.text : a.image) + size_t(nth) * a.dim;
    float square = 0.0f;
    for (uint32_t k = threadIdx.x; k < a.dim; k += BLOCK) square += x[k] * x[k];
    float rnorm = 1.0f / sqrtf(block_sum(square, shared) + 1e-12f);
    for (uint32_t k = threadIdx.x; k < a.dim; k += BLOCK) a.unit[size_t(blockIdx.x) * a.dim + k] = x[k] * rnorm;
    if (threadIdx.x == 0) a.rnorm[blockIdx.x] = rnorm;
}

// Computes:      logits = exp(log_inv_tau) unit_images unit_texts^T
// Shapes:        logits: [cap_images, cap_texts]
// Grid, Block:   tiles of 16 x 16 over the capacity, 256 threads; 2 KiB of shared memory
// Writes:        logits of the images and texts that are there
// Deterministic: yes
// Called by:     ops::contrastive::cuda
extern "C" __global__ void __launch_bounds__(BLOCK) contrastive_logits_f32(const Contrastive a) {
    // `right` lies with its columns as rows, two words apart from 16: no access has bank conflicts.
    __shared__ float left[TILE][TILE], right[TILE][TILE + 2];
    const uint32_t images = rows_now(a.run, a.images), texts = rows_now(a.run, a.texts);
    const uint32_t x = threadIdx.x % TILE, y = threadIdx.x / TILE;
    const uint32_t i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE;
    if (i0 >= images || j0 >= texts) return;
    float sum = 0.0f;
    for (uint32_t k0 = 0; k0 < a.dim; k0 += TILE) {
        bool inside = k0 + x < a.dim;
        left[y][x] = inside && i0 + y < images ? a.unit[size_t(i0 + y) * a.dim + k0 + x] : 0.0f;
        right[x][y] = inside && j0 + y < texts ? a.unit[size_t(a.cap_images + j0 + y) * a.dim + k0 + x] : 0.0f;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < TILE; ++k) sum += left[y][k] * right[k][x];
        __syncthreads();
    }
    if (i0 + y < images && j0 + x < texts)
        a.logits[size_t(i0 + y) * a.cap_texts + j0 + x] = sum * expf(*a.log_inv_tau);
}

// Computes:      of each row and column of the logits: log of the sum of exponentials, sum of targets, cross-entropy
// Grid, Block:   cap_images + cap_texts blocks of 256; 128 bytes of shared memory
// Writes:        lse, targets, loss
// Deterministic: yes
// Called by:     ops::contrastive::cuda
extern "C" __global__ void __launch_bounds__(BLOCK) contrastive_lse_f32(const Contrastive a) {
    __shared__ float shared[32];
    uint32_t side, nth;
    if (!member(a, blockIdx.x, side, nth)) return;
    const uint32_t texts = rows_now(a.run, a.texts), pairs = rows_now(a.run, a.pairs);
    const uint32_t others = side ? rows_now(a.run, a.images) : texts;
    auto logit = [&](uint32_t o) { return side ? a.logits[size_t(o) * a.cap_texts + nth] : a.logits[size_t(nth) * a.cap_texts + o]; };
    float top = -INFINITY;
    for (uint32_t o = threadIdx.x; o < others; o += BLOCK) top = fmaxf(top, logit(o));
    top = block_max(top, shared);
    float sum = 0.0f;
    for (uint32_t o = threadIdx.x; o < others; o += BLOCK) sum += expf(logit(o) - top);
    const float lse = top + logf(block_sum(sum, shared));
    float targets = 0.0f, loss = 0.0f;
    for (uint32_t o = threadIdx.x; o < others; o += BLOCK) {
        float t = side ? target(a, 1, o, nth, texts, pairs) : target(a, 0, nth, o, texts, pairs);
        targets += t;
        loss += t * (lse - logit(o));
    }
    targets = block_sum(targets, shared);
    loss = block_sum(loss, shared);
    if (threadIdx.x == 0) {
        a.lse[blockIdx.x] = lse;
        a.targets[blockIdx.x] = targets;
        a.loss[blockIdx.x] = loss;
    }
}

// Computes:      sums = {sum of loss where there is a target, how many have one}
// Grid, Block:   1 block of 256; 128 bytes of shared memory
// Writes:        sums
// Deterministic: yes
// Called by:     ops::contrastive::cuda::forward
extern "C" __global__ void __launch_bounds__(BLOCK) contrastive_fwd_sum_f32(const Contrastive a) {
    __shared__ float shared[32];
    float loss = 0.0f, count = 0.0f;
    for (uint32_t i = threadIdx.x; i < a.cap_images + a.cap_texts; i += BLOCK) {
        uint32_t side, nth;
        if (member(a, i, side, nth) && a.targets[i] > 0.0f) {
            loss += a.loss[i];
            count += 1.0f;
        }
    }
    loss = block_sum(loss, shared);
    count = block_sum(count, shared);
    if (threadIdx.x == 0) {
        a.sums[0] = loss;
        a.sums[1] = count;
    }
}

// Computes:      dlogit = scale (softmax of the row and of the column, each times its targets' sum, less the targets)
// Grid, Block:   cap_images blocks of 256, one a row; 128 bytes of shared memory
// Writes:        logits (their gradient), loss[image] = sum over the row of dlogit * logit
// Deterministic: yes
// Called by:     ops::contrastive::cuda::backward
extern "C" __global__ void __launch_bounds__(BLOCK) contrastive_bwd_logits_f32(const Contrastive a) {
    __shared__ float shared[32];
    const uint32_t i = blockIdx.x;
    if (i >= rows_now(a.run, a.images)) return;
    const uint32_t texts = rows_now(a.run, a.texts), pairs = rows_now(a.run, a.pairs);
    const float scale = *a.scale;
    float along = 0.0f;
    for (uint32_t j = threadIdx.x; j < texts; j += BLOCK) {
        float* at = a.logits + size_t(i) * a.cap_texts + j;
        const float logit = *at;
        const uint32_t col = a.cap_images + j;
        float row_part = a.targets[i] * expf(logit - a.lse[i]) - target(a, 0, i, j, texts, pairs);
        float col_part = a.targets[col] * expf(logit - a.lse[col]) - target(a, 1, i, j, texts, pairs);
        const float d = scale * (row_part + col_part);
        along += d * logit;
        *at = d;
    }
    along = block_sum(along, shared);
    if (threadIdx.x == 0) a.loss[i] = along;
}

// Computes:      du = exp(log_inv_tau) dlogits times the other side's unit rows; dx = rnorm (du - unit dot(unit, du));
//                block 0 also adds the sum of loss to dlog_inv_tau
// Shapes:        dimage: [images, dim]; dtext: [texts, dim]
// Grid, Block:   cap_images + cap_texts blocks of 256
// Shared memory: 128 bytes and dim floats
// Writes:        dimage, dtext; accumulates dlog_inv_tau
// Deterministic: yes
// Called by:     ops::contrastive::cuda::backward
extern "C" __global__ void __launch_bounds__(BLOCK) contrastive_bwd_f32(const Contrastive a) {
    extern __shared__ float du[];
    __shared__ float shared[32];
    const uint32_t images = rows_now(a.run, a.images), texts = rows_now(a.run, a.texts);
    if (blockIdx.x == 0) {
        float sum = 0.0f;
        for (uint32_t i = threadIdx.x; i < images; i += BLOCK) sum += a.loss[i];
        sum = block_sum(sum, shared);
        if (threadIdx.x == 0) *a.dlog_inv_tau += sum;
    }
    uint32_t side, nth;
    if (!member(a, blockIdx.x, side, nth)) return;
    const uint32_t others = side ? images : texts;
    const float inv_tau = expf(*a.log_inv_tau);
    const float* own = a.unit + size_t(blockIdx.x) * a.dim;
    const float* other = a.unit + (side ? 0 : size_t(a.cap_images) * a.dim);
    float along = 0.0f;
    for (uint32_t k = threadIdx.x; k < a.dim; k += BLOCK) {
        float sum = 0.0f;
        for (uint32_t o = 0; o < others; ++o) {
            size_t at = side ? size_t(o) * a.cap_texts + nth : size_t(nth) * a.cap_texts + o;
            sum += a.logits[at] * other[size_t(o) * a.dim + k];
        }
        du[k] = inv_tau * sum;
        along += own[k] * du[k];
    }
    along = block_sum(along, shared);
    float* out = (side ? a.dtext : a.dimage) + size_t(nth) * a.dim;
    for (uint32_t k = threadIdx.x; k < a.dim; k += BLOCK) out[k] = a.rnorm[blockIdx.x] * (du[k] - own[k] * along);
}
