// Layer normalisation of each row, forward and backward. The formulas are in src/ops/layernorm/reference.rs.
#include "rows.cuh"

// One warp a row: rows of up to 1024 columns stay in registers, longer ones are read again.
constexpr int WARPS = 4;
// Vectors of a lane that stay in registers.
constexpr int HELD = 4;

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
    // [blocks, spans of c, 2]: sums over each block's rows of dy * n and of dy, as span_store lays them.
    float* partial;
};

namespace {

// What a lane has of a row: n = (x - mean) rstd and dy.
__device__ inline void read_row(const LayernormBackward& a, uint32_t row, uint32_t i, bool wide, float mean, float rstd,
                                float (&n)[8], float (&dy)[8]) {
    load8(a.x + size_t(row) * a.c, i, a.c, wide, n);
    load8(a.dy + size_t(row) * a.c, i, a.c, wide, dy);
#pragma unroll
    for (int j = 0; j < VEC; ++j) n[j] = (n[j] - mean) * rstd;
}

// dx, and with SUMS each warp's sums over its rows of dy * n and of dy, in shared memory.
template <bool SUMS>
__device__ inline void input_rows(const LayernormBackward& a, float* sums) {
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const uint32_t c = a.c, rows = rows_now(a.run, a.rows);
    const bool wide = c % VEC == 0;
    for (uint32_t row = blockIdx.x * WARPS + warp; row < rows; row += gridDim.x * WARPS) {
        bf16* dx = a.dx + size_t(row) * c;
        const float mean = a.stats[size_t(row) * 2], rstd = a.stats[size_t(row) * 2 + 1];
        // n and g = dy w of this lane's columns: kept for the second use as far as there are registers.
        float n_held[HELD][8], g_held[HELD][8];
        float sum_g = 0.0f, sum_gn = 0.0f;
        auto times_w = [&](float(&g)[8], uint32_t i) {
            float w[8];
            load8(a.w, i, c, wide, w);
#pragma unroll
            for (int j = 0; j < VEC; ++j) g[j] *= w[j];
        };
        auto first = [&](float(&n)[8], float(&g)[8], uint32_t i) {
            read_row(a, row, i, wide, mean, rstd, n, g);
            if constexpr (SUMS) {
                // Columns beyond the row have dy = 0.
                float* spans = sums + 2 * (i - lane * VEC);
                float dw[8], db[8];
                span_load(spans, lane, dw);
                span_load(spans + SPAN, lane, db);
#pragma unroll
                for (int j = 0; j < VEC; ++j) {
                    dw[j] += g[j] * n[j];
                    db[j] += g[j];
                }
                span_store(spans, lane, dw);
                span_store(spans + SPAN, lane, db);
            }
            times_w(g, i);
#pragma unroll
            for (int j = 0; j < VEC; ++j) {
                sum_g += g[j];
                sum_gn += g[j] * n[j];
            }
        };
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            uint32_t i = (k * 32 + lane) * VEC;
            if (i >= c) break;
            first(n_held[k], g_held[k], i);
        }
        for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += SPAN) {
            float n[8], g[8];
            first(n, g, i);
        }
        sum_g = warp_sum(sum_g) / float(c);
        sum_gn = warp_sum(sum_gn) / float(c);
        auto finish = [&](const float(&n)[8], const float(&g)[8], uint32_t i) {
            float d[8];
            if (a.accumulate) load8(dx, i, c, wide, d);
#pragma unroll
            for (int j = 0; j < VEC; ++j) {
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
        for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += SPAN) {
            float n[8], g[8];
            read_row(a, row, i, wide, mean, rstd, n, g);
            times_w(g, i);
            finish(n, g, i);
        }
    }
}

}  // namespace

// Computes:      dx (+)= rstd (g - mean(g) - n mean(g n)), n = (x - mean) rstd, g = dy w; partial sums of dw, db
// Shapes:        x, dy, dx: [rows, c] bf16; w: [c] f32; stats: [rows, 2] f32; partial: [gridDim.x, spans of c, 2] f32
// Grid, Block:   as many blocks of 4 warps as the launcher has partial sums for; warp i takes rows i, i + warps, ...
// Shared memory: 4 * 2 * 256 * ceil(c / 256) floats: the sums of each warp
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        dx (accumulates if asked to), partial
// Deterministic: yes, each sum has one order
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) layernorm_bwd_bf16(const LayernormBackward a) {
    extern __shared__ float4 shared[];
    // Each warp sums in its own spans, each lane in its own columns: two spans for each 256 columns.
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31, fours = (a.c + SPAN - 1) / SPAN * (2 * SPAN / 4);
    float4* sums = shared + size_t(warp) * fours;
    for (uint32_t i = lane; i < fours; i += 32) sums[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    input_rows<true>(a, reinterpret_cast<float*>(sums));
    __syncthreads();
    float4* partial = reinterpret_cast<float4*>(a.partial) + size_t(blockIdx.x) * fours;
    for (uint32_t i = threadIdx.x; i < fours; i += WARPS * 32) {
        float4 sum = shared[i];
#pragma unroll
        for (int w = 1; w < WARPS; ++w) sum = sum + shared[w * fours + i];
        partial[i] = sum;
    }
}

// Computes:      dx as layernorm_bwd_bf16, without the sums: for rows whose sums shared memory does not hold
// Shapes:        as layernorm_bwd_bf16, without partial
// Grid, Block:   as layernorm_bwd_bf16; no shared memory
// Alignment:     as layernorm_bwd_bf16
// Aliasing:      none
// Writes:        dx (accumulates if asked to)
// Deterministic: yes
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) layernorm_bwd_dx_bf16(const LayernormBackward a) {
    input_rows<false>(a, nullptr);
}

// Computes:      partial sums of dw and db of 256 columns
// Shapes:        x, dy: [rows, c] bf16; stats: [rows, 2] f32; partial: [gridDim.x, spans of c, 2] f32
// Grid, Block:   (as many blocks of 4 warps as the launcher has partial sums for, ceil(c / 256)); warp i takes rows
//                i, i + warps, ...
// Shared memory: 8 KiB
// Alignment:     as layernorm_bwd_bf16
// Aliasing:      none
// Writes:        partial
// Deterministic: yes, each sum has one order
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) layernorm_bwd_columns_bf16(const LayernormBackward a) {
    __shared__ float4 shared[WARPS][2 * SPAN / 4];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const uint32_t c = a.c, rows = rows_now(a.run, a.rows), i = blockIdx.y * SPAN + lane * VEC;
    const bool wide = c % VEC == 0;
    float dw[8] = {}, db[8] = {};
    if (i < c) {
#pragma unroll 4
        for (uint32_t row = blockIdx.x * WARPS + warp; row < rows; row += gridDim.x * WARPS) {
            float n[8], dy[8];
            read_row(a, row, i, wide, a.stats[size_t(row) * 2], a.stats[size_t(row) * 2 + 1], n, dy);
#pragma unroll
            for (int j = 0; j < VEC; ++j) {
                dw[j] += dy[j] * n[j];
                db[j] += dy[j];
            }
        }
    }
    float* spans = reinterpret_cast<float*>(shared[warp]);
    span_store(spans, lane, dw);
    span_store(spans + SPAN, lane, db);
    __syncthreads();
    float4 sum = shared[0][threadIdx.x];
#pragma unroll
    for (int w = 1; w < WARPS; ++w) sum = sum + shared[w][threadIdx.x];
    reinterpret_cast<float4*>(a.partial)[(size_t(blockIdx.x) * gridDim.y + blockIdx.y) * (2 * SPAN / 4) + threadIdx.x] =
        sum;
}

struct LayernormReduce {
    uint32_t c;
    uint32_t blocks;
    const float* partial;
    float* dw;
    float* db;
};

// Computes:      dw += sum over blocks of partial[.., .., 0], db += that of partial[.., .., 1]
// Shapes:        partial: [blocks, spans of c, 2] f32; dw, db: [c] f32
// Grid, Block:   (16 ceil(c / 256)) blocks of 256 threads: 32 columns by 8 groups of blocks
// Shared memory: 1 KiB
// Alignment:     4 bytes
// Aliasing:      none
// Accumulates:   dw, db
// Deterministic: yes
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(256) layernorm_bwd_reduce_f32(const LayernormReduce a) {
    __shared__ float shared[8][32];
    const uint32_t col = threadIdx.x & 31, group = threadIdx.x >> 5;
    const uint32_t place = blockIdx.x * 32 + col, span = place / SPAN;
    const uint32_t i = span / 2 * SPAN + span_column(place % SPAN);
    float sum = 0.0f;
    if (i < a.c)
        for (uint32_t block = group; block < a.blocks; block += 8)
            sum += a.partial[size_t(block) * gridDim.x * 32 + place];
    shared[group][col] = sum;
    __syncthreads();
    if (group > 0 || i >= a.c) return;
#pragma unroll
    for (int g = 1; g < 8; ++g) sum += shared[g][col];
    (span % 2 == 0 ? a.dw : a.db)[i] += sum;
}
