// One state a segment from the states of its rows. See src/ops/pool/reference.rs.
#include "rows.cuh"

constexpr int WARPS = 8;
// Rows of a warp that are on their way at the same time.
constexpr int AHEAD = 4;
// Neighbouring rows of dx that a warp sums at once.
constexpr int HELD = 16;

struct PoolForward {
    const Run* run;
    Rows rows;
    uint32_t c;
    // 1: the first row of the range; 0: the mean of all.
    uint32_t first;
    const bf16* x;
    const uint2* range;
    bf16* y;
};

// Computes:      y[g] = the mean of the rows range[g] of x, or the first of them; 0 for an empty range
// Shapes:        x: [from, c] bf16; range: [rows] pairs of u32; y: [rows, c] bf16
// Grid, Block:   (cap rows, ceil(c / 256)) blocks of 8 warps; warp i takes rows i, i + 8, ... of the range
// Shared memory: 8 KiB
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        y
// Deterministic: yes
// Called by:     ops::pool::cuda::forward
extern "C" __global__ void __launch_bounds__(WARPS * 32) pool_fwd_bf16(const PoolForward a) {
    __shared__ alignas(16) float shared[WARPS][SPAN];
    const uint32_t g = blockIdx.x, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, c = a.c;
    if (g >= rows_now(a.run, a.rows)) return;
    const bool wide = c % VEC == 0;
    const uint32_t i = blockIdx.y * SPAN + lane * VEC;
    uint2 range = a.range[g];
    if (a.first) range.y = min(range.y, range.x + 1);
    float sum[8] = {};
    if (i < c) {
        for (uint32_t row = range.x + warp; row < range.y; row += AHEAD * WARPS) {
            Vec8 rows[AHEAD] = {};
#pragma unroll
            for (int k = 0; k < AHEAD; ++k)
                if (row + k * WARPS < range.y) rows[k] = fetch8(a.x + size_t(row + k * WARPS) * c, i, c, wide);
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                float x[8];
                unpack(rows[k], x);
#pragma unroll
                for (int j = 0; j < VEC; ++j) sum[j] += x[j];
            }
        }
    }
    span_store(shared[warp], lane, sum);
    __syncthreads();
    if (warp > 0 || i >= c) return;
    const float scale = range.y > range.x ? 1.0f / float(range.y - range.x) : 0.0f;
#pragma unroll
    for (int w = 1; w < WARPS; ++w) {
        float x[8];
        span_load(shared[w], lane, x);
#pragma unroll
        for (int j = 0; j < VEC; ++j) sum[j] += x[j];
    }
#pragma unroll
    for (int j = 0; j < VEC; ++j) sum[j] *= scale;
    store8(a.y + size_t(g) * c, i, c, wide, sum);
}

struct PoolBackward {
    const Run* run;
    Rows from;
    Rows rows;
    uint32_t c;
    uint32_t first;
    uint32_t accumulate;
    const bf16* dy;
    const uint2* range;
    bf16* dx;
};

// Computes:      dx[row] (+)= the sum over ranges g with row of dy[g] / count, in the order of g
// Shapes:        dx: [from, c] bf16; range: [rows] pairs of u32; dy: [rows, c] bf16
// Grid, Block:   (ceil(cap from / 128), ceil(c / 256)) blocks of 8 warps, 16 rows of dx a warp
// Shared memory: 3 KiB
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        dx (accumulates if asked to)
// Deterministic: yes
// Called by:     ops::pool::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) pool_bwd_bf16(const PoolBackward a) {
    // The ranges that touch this block's rows, in order, of each 256 that are looked at.
    __shared__ uint2 ranges[WARPS * 32];
    __shared__ uint32_t segments[WARPS * 32];
    __shared__ uint32_t hits[WARPS];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31, c = a.c;
    const uint32_t from = rows_now(a.run, a.from), rows = rows_now(a.run, a.rows);
    const uint32_t block_begin = blockIdx.x * WARPS * HELD, begin = block_begin + warp * HELD;
    if (block_begin >= from) return;
    const bool wide = c % VEC == 0;
    const uint32_t i = blockIdx.y * SPAN + lane * VEC;
    float sum[HELD][8] = {};
    bool touched = false;
    for (uint32_t base = 0; base < rows; base += WARPS * 32) {
        const uint32_t g = base + threadIdx.x;
        uint2 range = make_uint2(0, 0);
        if (g < rows) range = a.range[g];
        if (a.first) range.y = min(range.y, range.x + 1);
        const bool hit = range.x < range.y && range.x < block_begin + WARPS * HELD && range.y > block_begin;
        const uint32_t mask = __ballot_sync(0xffffffffu, hit);
        if (lane == 0) hits[warp] = __popc(mask);
        __syncthreads();
        uint32_t place = __popc(mask & ((1u << lane) - 1)), count = 0;
#pragma unroll
        for (int w = 0; w < WARPS; ++w) {
            if (w < warp) place += hits[w];
            count += hits[w];
        }
        if (hit) {
            ranges[place] = range;
            segments[place] = g;
        }
        __syncthreads();
        for (uint32_t k = 0; k < count; ++k) {
            const uint2 r = ranges[k];
            if (r.x >= begin + HELD || r.y <= begin || i >= c) continue;
            touched = true;
            const float scale = 1.0f / float(r.y - r.x);
            float d[8];
            load8(a.dy + size_t(segments[k]) * c, i, c, wide, d);
#pragma unroll
            for (int j = 0; j < VEC; ++j) d[j] *= scale;
#pragma unroll
            for (int h = 0; h < HELD; ++h) {
                if (begin + h < r.x || begin + h >= r.y) continue;
#pragma unroll
                for (int j = 0; j < VEC; ++j) sum[h][j] += d[j];
            }
        }
        __syncthreads();
    }
    if (i >= c || (a.accumulate && !touched)) return;
#pragma unroll
    for (int h = 0; h < HELD; ++h) {
        if (begin + h >= from) break;
        bf16* dx = a.dx + size_t(begin + h) * c;
        if (a.accumulate) {
            float d[8];
            load8(dx, i, c, wide, d);
#pragma unroll
            for (int j = 0; j < VEC; ++j) sum[h][j] += d[j];
        }
        store8(dx, i, c, wide, sum[h]);
    }
}
