// Layer normalisation of each row, forward and backward. The formulas are in src/ops/layernorm/reference.rs.
#include "rows.cuh"

// One warp a row: rows of up to 1024 columns stay in registers, longer ones are read again.

// Most warps of a block.
constexpr int WARPS = 8;
// Most warps of a block of forward: each block reads the weights, so that few large ones read less.
constexpr int FORWARD_WARPS = 32;
// Warps of a block of forward that reads the weights row by row.
constexpr int LONG_WARPS = 16;
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

namespace {

// Copies a row of weights to shared memory, where lanes read it by span_load; what is beyond `c` is 0.
//
// A warp takes 64 columns. Fours that are neighbours in the row lie on the same banks: lanes swap with those of the
// next four, so that each store has every other four.
__device__ inline void stage(float* to, const float* from, uint32_t c) {
    const bool odd = threadIdx.x & 4;
    for (uint32_t i = threadIdx.x / 32 * 64 + threadIdx.x % 32; i < (c + SPAN - 1) / SPAN * SPAN; i += 2 * blockDim.x) {
        const float near = i < c ? from[i] : 0.0f, far = i + 32 < c ? from[i + 32] : 0.0f;
        const float got = __shfl_xor_sync(0xffffffffu, odd ? near : far, 4);
        to[span_place(odd ? i + 28 : i)] = odd ? got : near;
        to[span_place(odd ? i + 32 : i + 4)] = odd ? far : got;
    }
}

// With STAGED the weights are in shared memory.
template <bool STAGED>
__device__ inline void forward(const LayernormForward& a, const float* w, const float* b) {
    const uint32_t warps = blockDim.x >> 5, lane = threadIdx.x & 31;
    const uint32_t c = a.c, rows = rows_now(a.run, a.rows);
    const bool wide = c % VEC == 0;
    for (uint32_t row = blockIdx.x * warps + (threadIdx.x >> 5); row < rows; row += gridDim.x * warps) {
        const bf16* x = a.x + size_t(row) * c;
        bf16* y = a.y + size_t(row) * c;
        Vec8 held[HELD];
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const uint32_t i = (k * 32 + lane) * VEC;
            if (i < c) held[k] = fetch8(x, i, c, wide);
        }
        // Calls each(i, v) for this lane's columns.
        auto columns = [&](auto each) {
#pragma unroll
            for (int k = 0; k < HELD; ++k) {
                const uint32_t i = (k * 32 + lane) * VEC;
                if (i < c) each(i, held[k]);
            }
            for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += SPAN) each(i, fetch8(x, i, c, wide));
        };
        float sum = 0.0f;
        columns([&](uint32_t, Vec8 v) {
            float f[8];
            unpack(v, f);
#pragma unroll
            for (int j = 0; j < VEC; ++j) sum += f[j];
        });
        const float mean = warp_sum(sum) / float(c);
        // The variance around the mean: the sum of squares less the square of the sum would cancel.
        float square = 0.0f;
        columns([&](uint32_t i, Vec8 v) {
            float f[8];
            unpack(v, f);
#pragma unroll
            for (int j = 0; j < VEC; ++j) {
                const float d = f[j] - mean;
                square += i + j < c ? d * d : 0.0f;
            }
        });
        const float rstd = 1.0f / sqrtf(warp_sum(square) / float(c) + a.eps);
        if (lane == 0) *reinterpret_cast<float2*>(a.stats + size_t(row) * 2) = make_float2(mean, rstd);
        columns([&](uint32_t i, Vec8 v) {
            float f[8], scale[8], shift[8];
            unpack(v, f);
            if constexpr (STAGED) {
                span_load(w + (i - lane * VEC), lane, scale);
                span_load(b + (i - lane * VEC), lane, shift);
            } else {
                load8(w, i, c, wide, scale);
                load8(b, i, c, wide, shift);
            }
#pragma unroll
            for (int j = 0; j < VEC; ++j) f[j] = (f[j] - mean) * rstd * scale[j] + shift[j];
            store8(y, i, c, wide, f);
        });
    }
}

}  // namespace

// Computes:      y = (x - mean) * rstd * w + b; stats = mean, rstd of each row
// Shapes:        x, y: [rows, c] bf16; w, b: [c] f32; stats: [rows, 2] f32
// Grid, Block:   any number of blocks of 16 or 32 warps; warp i takes rows i, i + warps, ...
// Shared memory: 2 * 256 * ceil(c / 256) floats: w and b
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        y, stats
// Deterministic: yes
// Called by:     ops::layernorm::cuda::forward
extern "C" __global__ void __launch_bounds__(FORWARD_WARPS * 32) layernorm_fwd_bf16(const LayernormForward a) {
    extern __shared__ float4 shared[];
    if (blockIdx.x * (blockDim.x >> 5) >= rows_now(a.run, a.rows)) return;
    float *w = reinterpret_cast<float*>(shared), *b = w + (a.c + SPAN - 1) / SPAN * SPAN;
    stage(w, a.w, a.c);
    stage(b, a.b, a.c);
    __syncthreads();
    forward<true>(a, w, b);
}

// As layernorm_fwd_bf16, without shared memory, in blocks of 16 warps: for rows that it does not hold.
extern "C" __global__ void __launch_bounds__(LONG_WARPS * 32) layernorm_fwd_long_bf16(const LayernormForward a) {
    forward<false>(a, a.w, a.b);
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

// dx; with STAGED the weights are in shared memory, and so are this warp's sums over its rows of dy * n and of dy.
template <bool STAGED>
__device__ inline void input_rows(const LayernormBackward& a, const float* weights, float* sums) {
    const uint32_t warps = blockDim.x >> 5, lane = threadIdx.x & 31;
    const uint32_t c = a.c, rows = rows_now(a.run, a.rows);
    const bool wide = c % VEC == 0;
    for (uint32_t row = blockIdx.x * warps + (threadIdx.x >> 5); row < rows; row += gridDim.x * warps) {
        const bf16 *x = a.x + size_t(row) * c, *dy = a.dy + size_t(row) * c;
        bf16* dx = a.dx + size_t(row) * c;
        Vec8 x_held[HELD], dy_held[HELD];
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const uint32_t i = (k * 32 + lane) * VEC;
            if (i >= c) break;
            x_held[k] = fetch8(x, i, c, wide);
            dy_held[k] = fetch8(dy, i, c, wide);
        }
        const float2 stats = *reinterpret_cast<const float2*>(a.stats + size_t(row) * 2);
        const float mean = stats.x, rstd = stats.y;
        // Calls each(i, n, dy, w), n = (x - mean) rstd, for this lane's columns; beyond the row dy is 0.
        auto columns = [&](auto each) {
            auto call = [&](uint32_t i, Vec8 x, Vec8 dy) {
                float n[8], d[8], w[8];
                unpack(x, n);
                unpack(dy, d);
#pragma unroll
                for (int j = 0; j < VEC; ++j) n[j] = (n[j] - mean) * rstd;
                if constexpr (STAGED) {
                    span_load(weights + (i - lane * VEC), lane, w);
                } else {
                    load8(weights, i, c, wide, w);
                }
                each(i, n, d, w);
            };
#pragma unroll
            for (int k = 0; k < HELD; ++k) {
                const uint32_t i = (k * 32 + lane) * VEC;
                if (i < c) call(i, x_held[k], dy_held[k]);
            }
            for (uint32_t i = (HELD * 32 + lane) * VEC; i < c; i += SPAN)
                call(i, fetch8(x, i, c, wide), fetch8(dy, i, c, wide));
        };
        float sum_g = 0.0f, sum_gn = 0.0f;
        columns([&](uint32_t i, const float(&n)[8], const float(&d)[8], const float(&w)[8]) {
            if constexpr (STAGED) {
                float* spans = sums + 2 * (i - lane * VEC);
                float dw[8], db[8];
                span_load(spans, lane, dw);
                span_load(spans + SPAN, lane, db);
#pragma unroll
                for (int j = 0; j < VEC; ++j) {
                    dw[j] += d[j] * n[j];
                    db[j] += d[j];
                }
                span_store(spans, lane, dw);
                span_store(spans + SPAN, lane, db);
            }
#pragma unroll
            for (int j = 0; j < VEC; ++j) {
                const float g = d[j] * w[j];
                sum_g += g;
                sum_gn += g * n[j];
            }
        });
        sum_g = warp_sum(sum_g) / float(c);
        sum_gn = warp_sum(sum_gn) / float(c);
        columns([&](uint32_t i, const float(&n)[8], const float(&d)[8], const float(&w)[8]) {
            float out[8] = {};
            if (a.accumulate) load8(dx, i, c, wide, out);
#pragma unroll
            for (int j = 0; j < VEC; ++j) out[j] += rstd * (d[j] * w[j] - sum_g - n[j] * sum_gn);
            store8(dx, i, c, wide, out);
        });
    }
}

}  // namespace

// Computes:      dx (+)= rstd (g - mean(g) - n mean(g n)), n = (x - mean) rstd, g = dy w; partial sums of dw, db
// Shapes:        x, dy, dx: [rows, c] bf16; w: [c] f32; stats: [rows, 2] f32; partial: [gridDim.x, spans of c, 2] f32
// Grid, Block:   as many blocks of 4 or 8 warps as the launcher has partial sums for; warp i takes rows i, i + warps, ...
// Shared memory: (1 + 2 warps) * 256 * ceil(c / 256) floats: w, and the sums of each warp
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        dx (accumulates if asked to), partial
// Deterministic: yes, each sum has one order
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32, 2) layernorm_bwd_bf16(const LayernormBackward a) {
    extern __shared__ float4 shared[];
    // Each warp sums in its own spans, each lane in its own columns: two spans for each 256 columns.
    const uint32_t warps = blockDim.x >> 5, spans = (a.c + SPAN - 1) / SPAN, fours = spans * (2 * SPAN / 4);
    float* w = reinterpret_cast<float*>(shared);
    float4* sums = shared + spans * (SPAN / 4);
    stage(w, a.w, a.c);
    for (uint32_t i = threadIdx.x; i < warps * fours; i += blockDim.x) sums[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    __syncthreads();
    input_rows<true>(a, w, reinterpret_cast<float*>(sums + (threadIdx.x >> 5) * fours));
    __syncthreads();
    float4* partial = reinterpret_cast<float4*>(a.partial) + size_t(blockIdx.x) * fours;
    for (uint32_t i = threadIdx.x; i < fours; i += blockDim.x) {
        float4 sum = sums[i];
        for (uint32_t warp = 1; warp < warps; ++warp) sum = sum + sums[warp * fours + i];
        partial[i] = sum;
    }
}

// Computes:      dx as layernorm_bwd_bf16, without the sums: for rows whose sums shared memory does not hold
// Shapes:        as layernorm_bwd_bf16, without partial
// Grid, Block:   any number of blocks of 8 warps; warp i takes rows i, i + warps, ...
// Shared memory: none
// Alignment:     as layernorm_bwd_bf16
// Aliasing:      none
// Writes:        dx (accumulates if asked to)
// Deterministic: yes
// Called by:     ops::layernorm::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) layernorm_bwd_dx_bf16(const LayernormBackward a) {
    input_rows<false>(a, a.w, nullptr);
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
extern "C" __global__ void __launch_bounds__(128) layernorm_bwd_columns_bf16(const LayernormBackward a) {
    constexpr int COLUMN_WARPS = 4, AHEAD = 4;
    __shared__ float4 shared[COLUMN_WARPS][2 * SPAN / 4];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const uint32_t c = a.c, rows = rows_now(a.run, a.rows), i = blockIdx.y * SPAN + lane * VEC;
    const uint32_t stride = gridDim.x * COLUMN_WARPS;
    const bool wide = c % VEC == 0;
    float dw[8] = {}, db[8] = {};
    if (i < c) {
        for (uint32_t row = blockIdx.x * COLUMN_WARPS + warp; row < rows; row += AHEAD * stride) {
            Vec8 x[AHEAD] = {}, dy[AHEAD] = {};
            float2 stats[AHEAD] = {};
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                const size_t r = row + k * stride;
                if (r >= rows) break;
                x[k] = fetch8(a.x + r * c, i, c, wide);
                dy[k] = fetch8(a.dy + r * c, i, c, wide);
                stats[k] = *reinterpret_cast<const float2*>(a.stats + r * 2);
            }
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                float n[8], d[8];
                unpack(x[k], n);
                unpack(dy[k], d);
#pragma unroll
                for (int j = 0; j < VEC; ++j) {
                    dw[j] += d[j] * ((n[j] - stats[k].x) * stats[k].y);
                    db[j] += d[j];
                }
            }
        }
    }
    float* spans = reinterpret_cast<float*>(shared[warp]);
    span_store(spans, lane, dw);
    span_store(spans + SPAN, lane, db);
    __syncthreads();
    float4 sum = shared[0][threadIdx.x];
#pragma unroll
    for (int w = 1; w < COLUMN_WARPS; ++w) sum = sum + shared[w][threadIdx.x];
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
