// Copies and zeros of matrices, between the formats of the spaces.
#include "common.cuh"

constexpr int BLOCK = 256;

struct Copy {
    const Run* run;
    Rows rows;
    uint32_t c;
    uint32_t accumulate;
    const void* src;
    void* dst;
};

namespace {

__device__ inline float number(bf16 x) { return __bfloat162float(x); }
__device__ inline float number(float x) { return x; }
__device__ inline void put(bf16* to, float x) { *to = __float2bfloat16(x); }
__device__ inline void put(float* to, float x) { *to = x; }

template <typename From, typename To>
__device__ inline void copy(const Copy& a) {
    const From* src = static_cast<const From*>(a.src);
    To* dst = static_cast<To*>(a.dst);
    size_t n = size_t(rows_now(a.run, a.rows)) * a.c;
    for (size_t i = size_t(blockIdx.x) * BLOCK + threadIdx.x; i < n; i += size_t(gridDim.x) * BLOCK) {
        float x = number(src[i]);
        put(dst + i, a.accumulate ? number(dst[i]) + x : x);
    }
}

}  // namespace

// Computes:      dst = src, or dst += src
// Shapes:        src, dst: [rows, c]
// Grid, Block:   enough blocks of 256 for the capacity, or some a multiprocessor; no shared memory
// Alignment:     of one element here, 16 bytes where both sides are bf16
// Aliasing:      none
// Writes:        dst (accumulates if asked to)
// Deterministic: yes
// Called by:     ops::copy::cuda::copy
extern "C" __global__ void __launch_bounds__(BLOCK) copy_f32(const Copy a) { copy<float, float>(a); }

// As copy_f32, from f32 to bf16.
extern "C" __global__ void __launch_bounds__(BLOCK) copy_f32_bf16(const Copy a) { copy<float, bf16>(a); }

// As copy_f32, bf16 throughout. Gradients that meet are added by it, so it takes 16 bytes at a time.
extern "C" __global__ void __launch_bounds__(BLOCK) copy_bf16(const Copy a) {
    const bf16* src = static_cast<const bf16*>(a.src);
    bf16* dst = static_cast<bf16*>(a.dst);
    size_t n = size_t(rows_now(a.run, a.rows)) * a.c, whole = n / 8 * 8;
    size_t thread = size_t(blockIdx.x) * BLOCK + threadIdx.x, threads = size_t(gridDim.x) * BLOCK;
    for (size_t i = thread * 8; i < whole; i += threads * 8) {
        Vec8 v = *reinterpret_cast<const Vec8*>(src + i);
        if (a.accumulate) {
            float x[8], d[8];
            unpack(v, x);
            unpack(*reinterpret_cast<const Vec8*>(dst + i), d);
#pragma unroll
            for (int j = 0; j < 8; ++j) x[j] += d[j];
            v = pack(x);
        }
        *reinterpret_cast<Vec8*>(dst + i) = v;
    }
    for (size_t i = whole + thread; i < n; i += threads) {
        float x = number(src[i]);
        put(dst + i, a.accumulate ? number(dst[i]) + x : x);
    }
}

struct Zero {
    const Run* run;
    Rows rows;
    // Bytes of a row.
    uint32_t row_bytes;
    uint16_t* dst;
};

// Computes:      dst = 0
// Shapes:        dst: [rows, row_bytes] bytes, an even number
// Grid, Block:   as copy_f32
// Alignment:     2 bytes
// Writes:        dst
// Deterministic: yes
// Called by:     ops::copy::cuda::zero
extern "C" __global__ void __launch_bounds__(BLOCK) copy_zero_any(const Zero a) {
    size_t n = size_t(rows_now(a.run, a.rows)) * a.row_bytes / 2;
    for (size_t i = size_t(blockIdx.x) * BLOCK + threadIdx.x; i < n; i += size_t(gridDim.x) * BLOCK) a.dst[i] = 0;
}

constexpr int MOST_WORDS = 32;

struct Words {
    uint32_t count;
    uint32_t words[MOST_WORDS];
    uint32_t* dst;
};

// Computes:      dst = words
// Shapes:        words, dst: [count]
// Grid, Block:   1 block of 32
// Writes:        dst
// Deterministic: yes
// Called by:     ops::copy::cuda::words
extern "C" __global__ void __launch_bounds__(MOST_WORDS) copy_words_u32(const __grid_constant__ Words a) {
    if (threadIdx.x < a.count) a.dst[threadIdx.x] = a.words[threadIdx.x];
}
