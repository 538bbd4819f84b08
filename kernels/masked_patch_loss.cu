// Loss of regenerated patches. The formulas are in src/ops/masked_patch_loss/reference.rs.
#include "common.cuh"

// Most threads of a block.
constexpr int THREADS = 128;
// Such blocks that a multiprocessor holds.
constexpr int RESIDENT = 8;
// Pieces of a thread whose pixels stay in registers between the patch's statistics and their use.
constexpr int HELD = 4;
// Most patches of a group's run.
constexpr int MOST_RUN = 4;
// Most patches that a block takes at a time.
constexpr int LOOKUPS = MOST_RUN * THREADS / 32;
// Added to a patch's variance.
constexpr float EPS = 1e-6f;

// Mirrors ops::masked_patch_loss::Loss.
enum Form : uint32_t { L1 = 0, L2 = 1, SMOOTH_L1 = 2 };

struct MaskedPatch {
    const Run* run;
    Rows rows;
    uint32_t side;
    uint32_t patch;
    float centre;
    float factor;
    uint32_t loss;
    // Whether the targets are normalised by their patch.
    uint32_t norm;
    // Threads that take a patch together: a warp, of which a block has several, or the block.
    uint32_t group;
    // Groups of the launch that have patches.
    uint32_t groups;
    // Neighbouring patches that a group takes at a time, at most MOST_RUN.
    uint32_t run_length;
    const bf16* pred;
    const uint8_t* images;
    const uint32_t* img;
    const uint32_t* cell;
    // Forward: [3, groups].
    float* partial;
    // Backward.
    const float* scale;
    bf16* dpred;
};

namespace {

// N neighbouring pixels of one row.
template <int N>
struct Pixels;

template <>
struct Pixels<8> {
    uint2 bytes;
    __device__ void load(const uint8_t* from) { bytes = *reinterpret_cast<const uint2*>(from); }
    __device__ uint32_t operator[](int j) const { return (j < 4 ? bytes.x : bytes.y) >> 8 * (j & 3) & 255; }
};

template <>
struct Pixels<1> {
    uint32_t byte;
    __device__ void load(const uint8_t* from) { byte = *from; }
    __device__ uint32_t operator[](int) const { return byte; }
};

// The sum over a group.
__device__ inline uint64_t group_total(uint64_t x, uint32_t group, uint64_t* shared) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) x += __shfl_xor_sync(0xffffffffu, x, lane);
    if (group == 32) return x;
    __syncthreads();
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
    __syncthreads();
    x = 0;
    for (uint32_t warp = 0; warp < blockDim.x >> 5; ++warp) x += shared[warp];
    return x;
}

// Calls each(at, d) for every piece of the group's patches: N elements of pred from `at` on, less their targets.
template <int N, class Each>
__device__ inline void differences(const MaskedPatch& a, Each each) {
    __shared__ uint64_t shared[THREADS / 32];
    __shared__ uint32_t cells[LOOKUPS], imgs[LOOKUPS];
    const uint32_t rows = rows_now(a.run, a.rows), side = a.side, patch = a.patch, grid = side / patch;
    const uint32_t pixels = patch * patch, pieces = pixels / N, across = patch / N;
    const uint32_t group = a.group, thread = threadIdx.x & (group - 1);
    const uint32_t begin = threadIdx.x / group * a.run_length, stretch = blockDim.x / group * a.run_length;
    auto one = [&](uint32_t h, uint32_t cell, uint32_t img) {
        const uint8_t* corner = a.images + (size_t(img) * side + cell / grid * patch) * side + cell % grid * patch;
        auto load = [&](Pixels<N>& p, uint32_t piece) {
            p.load(corner + size_t(piece / across) * side + piece % across * N);
        };
        Pixels<N> held[HELD];
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const uint32_t piece = k * group + thread;
            if (piece < pieces) load(held[k], piece);
        }
        // The target of a pixel is (pixel * times - less - centre) * factor: the product and difference are whole
        // numbers, so that a patch's own mean is taken off without rounding.
        uint32_t times = 1, less = 0;
        float centre = a.centre, factor = a.factor;
        if (a.norm) {
            uint64_t sum = 0, squares = 0;
            auto count = [&](const Pixels<N>& p) {
                uint32_t some = 0, some_squares = 0;
#pragma unroll
                for (int j = 0; j < N; ++j) some += p[j], some_squares += p[j] * p[j];
                sum += some, squares += some_squares;
            };
#pragma unroll
            for (int k = 0; k < HELD; ++k)
                if (k * group + thread < pieces) count(held[k]);
            for (uint32_t piece = HELD * group + thread; piece < pieces; piece += group) {
                Pixels<N> p;
                load(p, piece);
                count(p);
            }
            sum = group_total(sum, group, shared);
            squares = group_total(squares, group, shared);
            const float var = float(pixels * squares - sum * sum) / (float(pixels) * float(pixels));
            times = pixels, less = uint32_t(sum);
            centre = 0.0f;
            factor = a.factor / (sqrtf(a.factor * a.factor * var + EPS) * float(pixels));
        }
        auto use = [&](const Pixels<N>& p, uint32_t piece) {
            const size_t at = (size_t(h) * pieces + piece) * N;
            float d[N];
            if constexpr (N == 8) {
                unpack(*reinterpret_cast<const Vec8*>(a.pred + at), d);
            } else {
                d[0] = __bfloat162float(a.pred[at]);
            }
#pragma unroll
            for (int j = 0; j < N; ++j) d[j] -= (float(int32_t(p[j] * times - less)) - centre) * factor;
            each(at, d);
        };
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const uint32_t piece = k * group + thread;
            if (piece < pieces) use(held[k], piece);
        }
        for (uint32_t piece = HELD * group + thread; piece < pieces; piece += group) {
            Pixels<N> p;
            load(p, piece);
            use(p, piece);
        }
    };
    // The groups of a block take neighbouring patches, and look them up together.
    for (uint32_t first = blockIdx.x * stretch; first < rows; first += gridDim.x * stretch) {
        __syncthreads();
        if (threadIdx.x < stretch && first + threadIdx.x < rows) {
            cells[threadIdx.x] = a.cell[first + threadIdx.x];
            imgs[threadIdx.x] = a.img[first + threadIdx.x];
        }
        __syncthreads();
        const uint32_t end = min(begin + a.run_length, rows - first);
        for (uint32_t nth = begin; nth < end; ++nth) one(first + nth, cells[nth], imgs[nth]);
    }
}

template <int N>
__device__ inline void forward(const MaskedPatch& a) {
    __shared__ float shared[32], sums[2][THREADS / 32];
    float loss = 0.0f, total = 0.0f;
    differences<N>(a, [&](size_t, const float(&d)[N]) {
#pragma unroll
        for (int j = 0; j < N; ++j) {
            const float size = fabsf(d[j]);
            const bool square = a.loss == L2 || (a.loss == SMOOTH_L1 && size < 1.0f);
            const float value = square ? size * size : size;
            loss += a.loss == SMOOTH_L1 ? (square ? 0.5f * value : value - 0.5f) : value;
            total += size;
        }
    });
    loss = a.group == 32 ? warp_sum(loss) : block_sum(loss, shared);
    total = a.group == 32 ? warp_sum(total) : block_sum(total, shared);
    // The sums of a block's groups are neighbours in memory: a thread for each.
    const uint32_t groups = blockDim.x / a.group, at = blockIdx.x * groups + threadIdx.x;
    if ((threadIdx.x & (a.group - 1)) == 0) {
        sums[0][threadIdx.x / a.group] = loss;
        sums[1][threadIdx.x / a.group] = total;
    }
    __syncthreads();
    if (threadIdx.x >= groups || at >= a.groups) return;
    float* partial = a.partial + at;
    partial[0] = sums[0][threadIdx.x];
    partial[a.groups] = at == 0 ? float(uint64_t(rows_now(a.run, a.rows)) * a.patch * a.patch) : 0.0f;
    partial[2 * a.groups] = sums[1][threadIdx.x];
}

template <int N>
__device__ inline void backward(const MaskedPatch& a) {
    const float scale = *a.scale;
    differences<N>(a, [&](size_t at, float(&d)[N]) {
#pragma unroll
        for (int j = 0; j < N; ++j) {
            const float sign = d[j] > 0.0f ? 1.0f : d[j] < 0.0f ? -1.0f : 0.0f;
            const float slope = a.loss == L2                                   ? d[j] + d[j]
                                : a.loss == SMOOTH_L1 && fabsf(d[j]) < 1.0f ? d[j]
                                                                            : sign;
            d[j] = scale * slope;
        }
        if constexpr (N == 8) {
            *reinterpret_cast<Vec8*>(a.dpred + at) = pack(d);
        } else {
            a.dpred[at] = __float2bfloat16(d[0]);
        }
    });
}

}  // namespace

// Computes:      sums over a group's patches: the loss, the pixels of all patches (group 0), |pred - target|
// Shapes:        pred: [rows, patch * patch] bf16; images: [N, side, side] u8; img, cell: [rows] u32;
//                partial: [3, groups] f32
// Grid, Block:   blocks of 4 groups of 32 threads, or of one of 64 or 128; as many groups as the launcher has partial
//                sums for, a run of patches at a time each
// Shared memory: 320 bytes
// Alignment:     side and patch are multiples of 8: 16-byte accesses of pred, 8 pixels with each
// Aliasing:      none
// Writes:        partial
// Deterministic: yes
// Called by:     ops::masked_patch_loss::cuda::forward
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) masked_patch_loss_fwd_bf16(const MaskedPatch a) {
    forward<8>(a);
}

// As masked_patch_loss_fwd_bf16 for any side and patch: one pixel at a time.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) masked_patch_loss_fwd_single_bf16(const MaskedPatch a) {
    forward<1>(a);
}

// Computes:      dpred = scale * d loss / d pred
// Shapes:        pred, dpred: [rows, patch * patch] bf16; images: [N, side, side] u8; img, cell: [rows] u32;
//                scale: [1] f32
// Grid, Block:   as masked_patch_loss_fwd_bf16
// Shared memory: 160 bytes
// Alignment:     side and patch are multiples of 8: 16-byte accesses of pred and dpred, 8 pixels with each
// Aliasing:      none
// Writes:        dpred
// Deterministic: yes
// Called by:     ops::masked_patch_loss::cuda::backward
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) masked_patch_loss_bwd_bf16(const MaskedPatch a) {
    backward<8>(a);
}

// As masked_patch_loss_bwd_bf16 for any side and patch: one pixel at a time.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) masked_patch_loss_bwd_single_bf16(const MaskedPatch a) {
    backward<1>(a);
}
