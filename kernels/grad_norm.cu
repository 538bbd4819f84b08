// The Euclidean norm of all gradients of parameters.
#include "common.cuh"

constexpr int BLOCK = 256;

struct GradNorm {
    size_t len;
    const float* grads;
    double* partial;
};

namespace {

__device__ inline double block_sum_f64(double x) {
    __shared__ double shared[BLOCK / 32];
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) x += __shfl_xor_sync(0xffffffffu, x, lane);
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
    __syncthreads();
    double sum = 0.0;
#pragma unroll
    for (int w = 0; w < BLOCK / 32; ++w) sum += shared[w];
    return sum;
}

}  // namespace

// Computes:      the sum of squares of each block's share
// Shapes:        grads: [len] f32, len a multiple of 16; partial: [gridDim.x] f64
// Grid, Block:   some blocks of 256 a multiprocessor; 64 bytes of shared memory
// Alignment:     16 bytes
// Writes:        partial
// Deterministic: yes: eight squares are added in f32, the rest in f64, always in the same order
// Called by:     ops::grad_norm::cuda::run
extern "C" __global__ void __launch_bounds__(BLOCK) grad_norm_partial_f32(const GradNorm a) {
    double sum = 0.0;
    // Two loads at a time, each of neighbouring threads' neighbours.
    constexpr size_t HALF = BLOCK * 4;
    for (size_t start = size_t(blockIdx.x) * 2 * HALF; start < a.len; start += size_t(gridDim.x) * 2 * HALF) {
        const size_t i = start + threadIdx.x * 4;
        const float4 none = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        float4 x = i < a.len ? *reinterpret_cast<const float4*>(a.grads + i) : none;
        float4 y = i + HALF < a.len ? *reinterpret_cast<const float4*>(a.grads + i + HALF) : none;
        float low = x.x * x.x + x.y * x.y + x.z * x.z + x.w * x.w;
        float high = y.x * y.x + y.y * y.y + y.z * y.z + y.w * y.w;
        sum += double(low + high);
    }
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}

struct GradNormFinish {
    uint32_t blocks;
    const double* partial;
    float* norm;
};

// Computes:      norm = the root of the sum of partial
// Shapes:        partial: [blocks] f64; norm: [1] f32
// Grid, Block:   1 block of 256; 64 bytes of shared memory
// Writes:        norm
// Deterministic: yes
// Called by:     ops::grad_norm::cuda::run
extern "C" __global__ void __launch_bounds__(BLOCK) grad_norm_finish_f32(const GradNormFinish a) {
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < a.blocks; i += BLOCK) sum += a.partial[i];
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) *a.norm = float(sqrt(sum));
}
