// Wrappers of the instructions that feed the tensor cores: cp.async, ldmatrix, mma.sync (sm_80 and later).
#pragma once

#include "common.cuh"

__device__ inline uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

// Copies 16 bytes from global to shared memory, both aligned to 16; zeroes if not `there` (then nothing is read).
__device__ inline void cp_async16(uint32_t to, const void* from, bool there = true) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}

// The same with 8 bytes, aligned to 8.
__device__ inline void cp_async8(uint32_t to, const void* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;\n" ::"r"(to), "l"(from) : "memory");
}

// Ends a group of copies.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Waits until at most the last N groups of this thread are under way.
template <int N>
__device__ inline void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
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

// d += a b with a 16x16, b 16x8 (column-major), d 16x8. With g = lane / 4 and t = lane % 4, a lane has
// a: rows g, g + 8 of columns 2t, 2t + 1, then the same of columns 2t + 8, 2t + 9;
// b: rows 2t, 2t + 1, then 2t + 8, 2t + 9, of column g; d: row g, columns 2t, 2t + 1, then row g + 8.
__device__ inline void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two f32 as one register of bf16, `low` first.
__device__ inline uint32_t pack2(float low, float high) {
    bf162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&pair);
}

// Stores 16 bytes. In assembly: the compiler takes plain stores of the results of shuffles apart.
__device__ inline void store16(void* to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};\n" ::"l"(to), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
