// Layer normalisation of each row, forward and backward. The formulas are in src/ops/layernorm/reference.rs.
#include "common.cuh"

// One warp a row: rows of up to 1024 columns stay in registers, longer ones are read again.
constexpr int WARPS = 4;
// Columns that a lane takes at a time.
constexpr int VEC = 8;
// Vectors of a lane that stay in registers.
constexpr int HELD = 4;

namespace {

// Eight elements from column `i`, zeros beyond `c`; `wide` says that rows start on 16 bytes.
__device__ inline void load8(const bf16* row, uint32_t i, uint32_t c, bool wide, float (&x)[8]) {
    if (wide) {
        unpack(*reinterpret_cast<const Vec8*>(row + i), x);
        return;
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = i + j < c ? __bfloat162float(row[i + j]) : 0.0f;
}

__device__ inline void store8(bf16* row, uint32_t i, uint32_t c, bool wide, const float (&x)[8]) {
    if (wide) {
        *reinterpret_cast<Vec8*>(row + i) = pack(x);
        return;
    }
#pragma unroll
    for (int j = 0; j < 8; ++j)
        if (i + j < c) row[i + j] = __float2bfloat16(x[j]);
}

__device__ inline void load8(const float* row, uint32_t i, uint32_t c, bool wide, float (&x)[8]) {
    if (wide) {
        float4 a = *reinterpret_cast<const float4*>(row + i), b = *reinterpret_cast<const float4*>(row + i + 4);
        x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
        return;
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = i + j < c ? row[i + j] : 0.0f;
}

}  // namespace

struct LayernormForward {
    const Run* run;
    Rows rows;
    uint32_t c;
    float eps;
    const bf16* x;
    const float* w;
    const float* b;
    bf16* y;
    float* stats;
};

// Computes:      y = (x - mean) * rstd * w + b; stats = mean, rstd of each row
// Shapes:        x, y: [rows, c] bf16; w, b: [c] f32; stats: [rows, 2] f32
// Grid, Block:   ceil(cap / 4) blocks of 4 warps, one warp a row; no shared memory
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        y, stats
// Deterministic: yes
// Called by:     ops::layernorm::cuda::forward
extern "C" __global__ void __launch_bounds__(WARPS * 32) layernorm_fwd_bf16(const LayernormForward a) {
    uint32_t row = blockIdx.x * WARPS + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows_now(a.run, a.rows)) return;
    const uint32_t c = a.c;
    const bool wide = c % VEC == 0;
    const bf16* x = a.x + size_t(row) * c;
    float held[HELD][8];
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < HELD; ++k) {
        uint32_t i = (k * 32 + lane) * VEC;
        if (i >= c) break;
        load8(x, i, c, wide, held[k]);
#pragma unroll
        for (int j = 0; j < 8; ++j) sum += held[k][j];
    }
    for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += 32 * VEC) {
        float v[8];
        load8(x, i, c, wide, v);
#pragma unroll
        for (int j = 0; j < 8; ++j) sum += v[j];
    }
    const float mean = warp_sum(sum) / float(c);
    // The variance around the mean: the sum of squares less the square of the sum would cancel.
    float square = 0.0f;
    auto spread = [&](const float(&v)[8], uint32_t i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            float d = v[j] - mean;
            square += i + j < c ? d * d : 0.0f;
        }
    };
#pragma unroll
    for (int k = 0; k < HELD; ++k) {
        uint32_t i = (k * 32 + lane) * VEC;
        if (i >= c) break;
        spread(held[k], i);
    }
    for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += 32 * VEC) {
        float v[8];
        load8(x, i, c, wide, v);
        spread(v, i);
    }
    const float rstd = 1.0f / sqrtf(warp_sum(square) / float(c) + a.eps);
    if (lane == 0) {
        a.stats[size_t(row) * 2] = mean;
        a.stats[size_t(row) * 2 + 1] = rstd;
    }
    bf16* y = a.y + size_t(row) * c;
    auto finish = [&](float(&v)[8], uint32_t i) {
        float w[8], b[8];
        load8(a.w, i, c, wide, w);
        load8(a.b, i, c, wide, b);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] = (v[j] - mean) * rstd * w[j] + b[j];
        store8(y, i, c, wide, v);
    };
#pragma unroll
    for (int k = 0; k < HELD; ++k) {
        uint32_t i = (k * 32 + lane) * VEC;
        if (i >= c) break;
        finish(held[k], i);
    }
    for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += 32 * VEC) {
        float v[8];
        load8(x, i, c, wide, v);
        finish(v, i);
    }
}

struct LayernormBackward {
    const Run* run;
    Rows rows;
    uint32_t c;
    uint32_t accumulate;
    const bf16* x;
    const float* w;
    const float* stats;
    const bf16* dy;
    bf16* dx;
    // [blocks, 2, c]: sums over each block's rows of dy * n and of dy.
    float* partial;
};

// Computes:      dx (+)= rstd (g - mean(g) - n mean(g n)), n = (x - mean) rstd, g = dy w; partial sums of dw, db
// Shapes:        x, dy, dx: [rows, c] bf16; w: [c] f32; stats: [rows, 2] f32; partial: [gridDim.x, 2, c] f32
// Grid, Block:   as many blocks of 4 warps as the launcher has partial sums for; warp i takes rows i, i + warps, ...
// Shared memory: 4 * 2 * c floats: the sums of each warp
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        dx (accumulates if asked to), partial
// Deterministic: yes, each sum has one order
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) layernorm_bwd_bf16(const LayernormBackward a) {
    extern __shared__ float shared[];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const uint32_t c = a.c, rows = rows_now(a.run, a.rows);
    const bool wide = c % VEC == 0;
    // Each warp sums in its own two rows of shared memory; each lane owns its columns.
    float* sums = shared + size_t(warp) * 2 * c;
    for (uint32_t i = lane * VEC; i < c; i += 32 * VEC)
        for (uint32_t j = i; j < min(i + VEC, c); ++j) sums[j] = sums[c + j] = 0.0f;
    for (uint32_t row = blockIdx.x * WARPS + warp; row < rows; row += gridDim.x * WARPS) {
        const bf16 *x = a.x + size_t(row) * c, *dy = a.dy + size_t(row) * c;
        bf16* dx = a.dx + size_t(row) * c;
        const float mean = a.stats[size_t(row) * 2], rstd = a.stats[size_t(row) * 2 + 1];
        // n and g of this lane's columns: kept for the second use as far as there are registers.
        float n_held[HELD][8], g_held[HELD][8];
        float sum_g = 0.0f, sum_gn = 0.0f;
        auto first = [&](float(&n)[8], float(&g)[8], uint32_t i) {
            float w[8];
            load8(x, i, c, wide, n);
            load8(dy, i, c, wide, g);
            load8(a.w, i, c, wide, w);
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                n[j] = (n[j] - mean) * rstd;
                if (i + j < c) {
                    sums[i + j] += g[j] * n[j];
                    sums[c + i + j] += g[j];
                }
                g[j] *= w[j];
                sum_g += g[j];
                sum_gn += g[j] * n[j];
            }
        };
        auto again = [&](float(&n)[8], float(&g)[8], uint32_t i) {
            float w[8];
            load8(x, i, c, wide, n);
            load8(dy, i, c, wide, g);
            load8(a.w, i, c, wide, w);
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                n[j] = (n[j] - mean) * rstd;
                g[j] *= w[j];
            }
        };
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            uint32_t i = (k * 32 + lane) * VEC;
            if (i >= c) break;
            first(n_held[k], g_held[k], i);
        }
        for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += 32 * VEC) {
            float n[8], g[8];
            first(n, g, i);
        }
        sum_g = warp_sum(sum_g) / float(c);
        sum_gn = warp_sum(sum_gn) / float(c);
        auto finish = [&](const float(&n)[8], const float(&g)[8], uint32_t i) {
            float d[8];
            if (a.accumulate) load8(dx, i, c, wide, d);
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                float v = rstd * (g[j] - sum_g - n[j] * sum_gn);
                d[j] = a.accumulate ? d[j] + v : v;
            }
            store8(dx, i, c, wide, d);
        };
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            uint32_t i = (k * 32 + lane) * VEC;
            if (i >= c) break;
            finish(n_held[k], g_held[k], i);
        }
        for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += 32 * VEC) {
            float n[8], g[8];
            again(n, g, i);
            finish(n, g, i);
        }
    }
    __syncthreads();
    float* partial = a.partial + size_t(blockIdx.x) * 2 * c;
    for (uint32_t i = threadIdx.x; i < 2 * c; i += WARPS * 32) {
        float sum = 0.0f;
#pragma unroll
        for (int w = 0; w < WARPS; ++w) sum += shared[size_t(w) * 2 * c + i];
        partial[i] = sum;
    }
}

struct LayernormReduce {
    uint32_t c;
    uint32_t blocks;
    const float* partial;
    float* dw;
    float* db;
};

// Computes:      dw += sum over blocks of partial[.., 0, ..], db += that of partial[.., 1, ..]
// Shapes:        partial: [blocks, 2, c]; dw, db: [c]; all f32
// Grid, Block:   ceil(2 c / 32) blocks of 256 threads: 32 columns by 8 groups of blocks
// Shared memory: 256 floats
// Alignment:     4 bytes
// Aliasing:      none
// Accumulates:   dw, db
// Deterministic: yes
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(256) layernorm_bwd_reduce_f32(const LayernormReduce a) {
    __shared__ float shared[8][32];
    const uint32_t col = threadIdx.x & 31, group = threadIdx.x >> 5;
    const uint32_t i = blockIdx.x * 32 + col;
    float sum = 0.0f;
    if (i < 2 * a.c)
        for (uint32_t block = group; block < a.blocks; block += 8) sum += a.partial[size_t(block) * 2 * a.c + i];
    shared[group][col] = sum;
    __syncthreads();
    if (group == 0 && i < 2 * a.c) {
#pragma unroll
        for (int g = 1; g < 8; ++g) sum += shared[g][col];
        float* out = i < a.c ? a.dw + i : a.db + (i - a.c);
        *out += sum;
    }
}
