// What the kernels of attention share: the list of tiles, swizzled tiles in shared memory, products, stores.
#pragma once

#include "mma.cuh"

namespace attention {

// Every kernel that multiplies has four warps.
constexpr int THREADS = 128;
constexpr int WARPS = THREADS / 32;
constexpr float LOG2E = 1.4426950408889634f;
constexpr float LN2 = 0.6931471805599453f;

// Some rows of a segment, and the rows of the segment on the other side: keys for queries, queries for keys.
struct alignas(16) Tile {
    uint32_t first, rows;
    uint32_t other, others;
};

// The tiles of a call, in the workspace.
struct alignas(16) Tiles {
    uint32_t count;
    uint32_t unused[3];
    Tile tile[1];
};

// The tile of this block, whose head is blockIdx.x; without rows for blocks beyond the last tile.
__device__ inline Tile my_tile(const Tiles* tiles) {
    return blockIdx.y < tiles->count ? tiles->tile[blockIdx.y] : Tile{};
}

__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

// A tile in shared memory has rows of D bf16, whose 16-byte chunks are permuted by the row: eight neighbouring rows
// have the same chunk in different banks. Byte offset of a chunk.
template <int D>
__device__ inline uint32_t swizzled(uint32_t row, uint32_t chunk) {
    uint32_t turn = D == 32 ? row >> 1 & 3 : row & 7;
    return row * 2 * D + (chunk ^ turn) * 16;
}

// The same value as one that the compiler takes for new: what derives from it is computed where it is used, not kept in
// registers over a loop that needs them all.
__device__ inline uint32_t again(uint32_t x) {
    asm volatile("mov.b32 %0, %0;\n" : "+r"(x));
    return x;
}

// For sm_100 and later the compiler keeps more over such loops than there is room for.
#if __CUDA_ARCH__ >= 1000
constexpr bool CROWDED = true;
#else
constexpr bool CROWDED = false;
#endif

__device__ inline uint32_t again_if_crowded(uint32_t x) { return CROWDED ? again(x) : x; }

// Starts copying ROWS rows of D columns, `stride` elements apart, into a tile; rows from `valid` on become zeros.
template <int D, int ROWS>
__device__ inline void load_tile(uint32_t tile, const bf16* from, uint32_t stride, uint32_t valid) {
    constexpr uint32_t CHUNKS = D / 8, STEP = THREADS / CHUNKS;
    uint32_t thread = again(threadIdx.x), row = thread / CHUNKS, chunk = thread % CHUNKS;
    tile += swizzled<D>(row, chunk);
    from += uint64_t(row) * stride + chunk * 8;
#pragma unroll
    for (uint32_t i = 0; i < ROWS / STEP; ++i) {
        cp_async16(tile, from, row + i * STEP < valid);
        tile += STEP * 2 * D;
        from += uint64_t(STEP) * stride;
    }
}

// This lane's address for ldmatrix of the 16x16 block at the tile's start, its four matrices ordered as a left operand
// and, transposed, as two right operands want them. The block at row 16 i, column 16 k is at (this ^ 32 k) + 32 D i,
// because tiles are aligned to 256 bytes and 16 rows repeat the permutation.
template <int D>
__device__ inline uint32_t lane_address(uint32_t tile, uint32_t thread = threadIdx.x) {
    uint32_t lane = thread & 31;
    return tile + swizzled<D>(lane & 15, lane >> 4);
}

// The same for blocks of 8 rows and 32 columns: the right operands of two products one after the other, not transposed.
// The block at row 8 i, column 32 k is at (this ^ 64 k) + 16 D i.
template <int D>
__device__ inline uint32_t lane_address_right(uint32_t tile, uint32_t thread = threadIdx.x) {
    uint32_t lane = thread & 31;
    return tile + swizzled<D>(lane & 7, lane >> 3);
}

// The left operand of products: M blocks of 16 rows, D columns; in registers if HELD, else read where it is used.
template <int D, int M, bool HELD>
struct Left {
    uint32_t address;
    uint32_t held[HELD ? D / 16 : 1][M][4];

    __device__ inline void read(uint32_t (&a)[M][4], int k) const {
#pragma unroll
        for (int m = 0; m < M; ++m) ldmatrix_x4(a[m], (address ^ (32 * k)) + 32 * D * m);
    }
    __device__ inline void start(uint32_t at) {
        address = at;
        if constexpr (HELD) {
#pragma unroll
            for (int k = 0; k < D / 16; ++k) read(held[k], k);
        }
    }
    __device__ inline void get(uint32_t (&a)[M][4], int k) const {
        if constexpr (HELD) {
#pragma unroll
            for (int m = 0; m < M; ++m)
#pragma unroll
                for (int i = 0; i < 4; ++i) a[m][i] = held[k][m][i];
        } else {
            read(a, k);
        }
    }
};

// s = a b^T for 8 N rows of b, whose address is a lane_address_right. With PARTIAL only the first `some` of the N columns
// of blocks are computed, the others 0.
template <bool PARTIAL, int D, int M, int N, bool HELD>
__device__ inline void scores(float (&s)[M][N][4], const Left<D, M, HELD>& left, uint32_t b, uint32_t some = N) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) s[m][n][i] = 0.0f;
#pragma unroll
    for (int k = 0; k < D / 32; ++k) {
        uint32_t low[M][4], high[M][4];
        left.get(low, 2 * k);
        left.get(high, 2 * k + 1);
#pragma unroll
        for (int n = 0; n < N; ++n) {
            if (PARTIAL && n >= some) break;
            uint32_t r[4];
            ldmatrix_x4(r, (b ^ (64 * k)) + 16 * D * n);
#pragma unroll
            for (int m = 0; m < M; ++m) mma_16x8x16(s[m][n], low[m], r[0], r[1]);
#pragma unroll
            for (int m = 0; m < M; ++m) mma_16x8x16(s[m][n], high[m], r[2], r[3]);
        }
    }
}

// An accumulator as the half `n % 2` of a left operand of 16 columns.
__device__ inline void as_left(uint32_t (&a)[4], int n, const float (&s)[4]) {
    a[n % 2 * 2] = pack2(s[0], s[1]);
    a[n % 2 * 2 + 1] = pack2(s[2], s[3]);
}

// acc += p b for 16 N rows of b, whose address is a lane_address. With PARTIAL only the first `some` rows' blocks of 16 count.
template <bool PARTIAL, int D, int M, int N>
__device__ inline void accumulate(float (&acc)[M][D / 8][4], const uint32_t (&p)[N][M][4], uint32_t b, uint32_t some = N) {
#pragma unroll
    for (int k = 0; k < N; ++k) {
        if (PARTIAL && k >= some) break;
#pragma unroll
        for (int n = 0; n < D / 16; ++n) {
            uint32_t r[4];
            ldmatrix_x4_trans(r, (b ^ (32 * n)) + 32 * D * k);
#pragma unroll
            for (int m = 0; m < M; ++m) {
                mma_16x8x16(acc[m][2 * n], p[k][m], r[0], r[1]);
                mma_16x8x16(acc[m][2 * n + 1], p[k][m], r[2], r[3]);
            }
        }
    }
}

template <int D, int M>
__device__ inline void zero(float (&acc)[M][D / 8][4]) {
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) acc[m][n][i] = 0.0f;
}

// The 4x4 words of four neighbouring lanes transposed: word i of lane j becomes word j of lane i.
__device__ inline void transpose4(uint32_t (&w)[4]) {
#pragma unroll
    for (int d = 1; d <= 2; d *= 2) {
        bool upper = threadIdx.x & d;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (i & d) continue;
            uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? w[i] : w[i + d], d);
            if (upper) w[i] = got;
            else w[i + d] = got;
        }
    }
}

// Stores the first `valid` of a warp's 16 M rows, row r times factor[r / 16][r / 8 % 2], in pieces of 16 bytes.
template <int D, int M>
__device__ inline void store_rows(bf16* to, uint32_t stride, uint32_t valid, const float (&acc)[M][D / 8][4],
                                  const float (&factor)[M][2]) {
    uint32_t lane = threadIdx.x & 31;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            uint32_t row = 16 * m + 8 * half + lane / 4;
            float f = factor[m][half];
            bf16* at = to + uint64_t(row) * stride + lane % 4 * 8;
#pragma unroll
            for (int n = 0; n < D / 8; n += 4) {
                uint32_t w[4];
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    w[i] = pack2(acc[m][n + i][2 * half] * f, acc[m][n + i][2 * half + 1] * f);
                transpose4(w);
                if (row < valid) store16(at + 8 * n, w[0], w[1], w[2], w[3]);
            }
        }
}

// Stores zeros in the first `valid` rows of a block.
template <int D>
__device__ inline void store_zeros(bf16* to, uint32_t stride, uint32_t valid) {
    for (uint32_t i = threadIdx.x; i < valid * (D / 8); i += THREADS)
        store16(to + uint64_t(i / (D / 8)) * stride + i % (D / 8) * 8, 0, 0, 0, 0);
}

}  // namespace attention
