// Wrappers of the instructions that feed the tensor cores: cp.async, ldmatrix, mma.sync.
//
// sm_75 has neither cp.async nor products of bf16. There a copy is done at once, which is one of the ways cp.async may do
// it, and a product is made of shuffles and f32 arithmetic: correct, and many times slower than tensor cores.
#pragma once

#include "common.cuh"

#if __CUDA_ARCH__ >= 800
constexpr bool TENSOR_CORES = true;
#else
constexpr bool TENSOR_CORES = false;
#endif

__device__ inline uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

// Copies 16 bytes from global to shared memory, both aligned to 16; zeroes if not `there` (then nothing is read).
__device__ inline void cp_async16(uint32_t to, const void* from, bool there = true) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
#else
    uint32_t v[4] = {};
    if (there)
        asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];\n"
                     : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                     : "l"(from)
                     : "memory");
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};\n" ::"r"(to), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3])
                 : "memory");
#endif
}

// The same with 8 bytes, aligned to 8.
__device__ inline void cp_async8(uint32_t to, const void* from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;\n" ::"r"(to), "l"(from) : "memory");
#else
    uint32_t v[2];
    asm volatile("ld.global.v2.b32 {%0, %1}, [%2];\n" : "=r"(v[0]), "=r"(v[1]) : "l"(from) : "memory");
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};\n" ::"r"(to), "r"(v[0]), "r"(v[1]) : "memory");
#endif
}

// Ends a group of copies.
__device__ inline void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Waits until at most the last N groups of this thread are under way.
template <int N>
__device__ inline void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
#endif
}

// Loads four 8x8 matrices of bf16. Lane l gives the address of row l % 8 of matrix l / 8 and gets, of each matrix,
// elements 2 * (l % 4) and one more of row l / 4.
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
}

// The same, each matrix transposed.
__device__ inline void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
}

// Two f32 as one register of bf16, `low` first.
__device__ inline uint32_t pack2(float low, float high) {
    bf162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&pair);
}

// And back.
__device__ inline float2 unpack2(uint32_t pair) {
    return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

// d += a b with a 16x16, b 16x8 (column-major), d 16x8. With g = lane / 4 and t = lane % 4, a lane has
// a: rows g, g + 8 of columns 2t, 2t + 1, then the same of columns 2t + 8, 2t + 9;
// b: rows 2t, 2t + 1, then 2t + 8, 2t + 9, of column g; d: row g, columns 2t, 2t + 1, then row g + 8.
__device__ inline void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    const int lane = threadIdx.x & 31, row = lane & ~3, col = (lane & 3) * 8;
    const auto from = [](uint32_t x, int lane) { return __shfl_sync(0xffffffffu, x, lane); };
    // A loop: a kernel has dozens of products. Turn t is columns of a, rows of b 2t, 2t + 1, 2t + 8, 2t + 9.
#pragma unroll 1
    for (int t = 0; t < 4; ++t) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const uint32_t b = half ? b1 : b0;
            const float2 left[2] = {unpack2(from(a[2 * half], row + t)), unpack2(from(a[2 * half + 1], row + t))};
            const float2 right[2] = {unpack2(from(b, col + t)), unpack2(from(b, col + 4 + t))};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                d[i] = fmaf(left[i / 2].x, right[i % 2].x, d[i]);
                d[i] = fmaf(left[i / 2].y, right[i % 2].y, d[i]);
            }
        }
    }
#endif
}

// Stores 16 bytes. In assembly: the compiler takes plain stores of the results of shuffles apart.
__device__ inline void store16(void* to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};\n" ::"l"(to), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
