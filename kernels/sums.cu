// The end of a loss: the three sums of its blocks become those of the call.
#include "common.cuh"

constexpr int THREADS = 256;

struct Sums {
    uint32_t blocks;
    const float* partial;
    float* sums;
};

// Computes:      sums = the sum over blocks of partial
// Shapes:        partial: [3, blocks], sums: [3], both f32
// Grid, Block:   1 block of 256 threads
// Shared memory: 128 bytes
// Alignment:     4 bytes
// Aliasing:      none
// Writes:        sums
// Deterministic: yes, the sum has one order
// Called by:     ops::sums::finish
extern "C" __global__ void __launch_bounds__(THREADS) sums_fwd_f32(const Sums a) {
    __shared__ float shared[32];
    float sum[3] = {};
    for (uint32_t block = threadIdx.x; block < a.blocks; block += THREADS)
#pragma unroll
        for (int i = 0; i < 3; ++i) sum[i] += a.partial[i * size_t(a.blocks) + block];
#pragma unroll
    for (int i = 0; i < 3; ++i) {
        float total = block_sum(sum[i], shared);
        if (threadIdx.x == 0) a.sums[i] = total;
    }
}
