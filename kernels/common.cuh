// What every kernel shares: the counts of the run, dropout, reductions, 16-byte vectors.
//
// Conventions of every kernel:
// - matrices are row-major; activations are bf16 (the engine's Space::Arena), statistics, sums and
//   gradients of parameters f32; arithmetic is f32;
// - a kernel takes one struct by value, mirrored field by field in src/ops/<op>/cuda.rs;
// - grids are made for the capacity: the rows of this run are read from device memory, so that a step
//   can be captured once and replayed;
// - offsets that a row length multiplies are 64-bit;
// - no float atomics: the same inputs give the same bits.
#pragma once

#include <cuda_bf16.h>
#include <stdint.h>

using bf16 = __nv_bfloat16;
using bf162 = __nv_bfloat162;

// Mirrors backend::cuda::args::DeviceRun.
constexpr int COUNTS = 24;
struct Run {
    uint32_t counts[COUNTS];
    // Number of this micro-step: dropout masks depend on it.
    uint32_t step;
    // 1 in training, 0 in evaluation.
    uint32_t dropout;
};

// A row count: fixed, or number `count` of the run's counts. Mirrors backend::cuda::args::Rows.
struct Rows {
    int32_t count;
    uint32_t fixed;
};

__device__ inline uint32_t rows_now(const Run* run, Rows rows) {
    return rows.count < 0 ? rows.fixed : run->counts[rows.count];
}

// Philox4x32-10, as src/rng has it (Salmon et al., 2011).
__device__ inline uint4 philox4x32_10(uint4 c, uint2 k) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        if (round > 0) {
            k.x += 0x9E3779B9u;
            k.y += 0xBB67AE85u;
        }
        uint32_t lo0 = 0xD2511F53u * c.x, hi0 = __umulhi(0xD2511F53u, c.x);
        uint32_t lo1 = 0xCD9E8D57u * c.z, hi1 = __umulhi(0xCD9E8D57u, c.z);
        c = make_uint4(hi1 ^ c.y ^ k.x, lo1, hi0 ^ c.w ^ k.y, lo0);
    }
    return c;
}

// A place where dropout is applied; `on` is 0 where the call has none. Mirrors backend::cuda::args::Drop.
struct Drop {
    uint32_t on;
    // An element is dropped if its 32 random bits lie below this.
    uint32_t threshold;
    // What a kept element is multiplied by.
    float scale;
    uint32_t key0, key1;
    uint32_t site;
};

__device__ inline bool drop_active(const Run* run, const Drop& drop) {
    return drop.on != 0 && run->dropout != 0;
}

// The random bits of elements 4 * block .. 4 * block + 4 of the site at this step.
__device__ inline uint4 drop_bits(const Run* run, const Drop& drop, uint64_t block) {
    return philox4x32_10(make_uint4(uint32_t(block), uint32_t(block >> 32), drop.site, run->step),
                         make_uint2(drop.key0, drop.key1));
}

// The factor of one element: 0 or `scale`. Four neighbours share their bits: where a thread holds them, draw once.
__device__ inline float drop_factor(const Run* run, const Drop& drop, uint64_t index) {
    uint4 bits = drop_bits(run, drop, index >> 2);
    uint32_t lane = uint32_t(index) & 3;
    uint32_t mine = lane == 0 ? bits.x : lane == 1 ? bits.y : lane == 2 ? bits.z : bits.w;
    return mine < drop.threshold ? 0.0f : drop.scale;
}

__device__ inline float warp_sum(float x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}

__device__ inline float warp_max(float x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}

// The sum over a block of up to 1024 threads, in every thread, always in the same order.
// `shared` has 32 floats and may be used again after the next barrier.
__device__ inline float block_sum(float x, float* shared) {
    x = warp_sum(x);
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = (blockDim.x + 31) >> 5;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? shared[lane] : 0.0f);
}

// Eight bf16 as one 16-byte access. Words, passed by value: bf162, or a reference, the compiler takes apart.
struct alignas(16) Vec8 {
    uint32_t pair[4];
};

__device__ inline void unpack(Vec8 v, float (&x)[8]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        x[2 * i] = __uint_as_float(v.pair[i] << 16);
        x[2 * i + 1] = __uint_as_float(v.pair[i] & 0xffff0000u);
    }
}

__device__ inline Vec8 pack(const float (&x)[8]) {
    Vec8 v;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        bf162 pair = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
        v.pair[i] = *reinterpret_cast<uint32_t*>(&pair);
    }
    return v;
}
