// Takes rows of a matrix, and gives gradients back to them. See src/ops/gather_rows/reference.rs.
#include "rows.cuh"

constexpr int WARPS = 4;
constexpr uint32_t NONE = 0xffffffffu;

struct GatherForward {
    const Run* run;
    Rows rows;
    uint32_t c;
    const bf16* x;
    const uint32_t* index;
    bf16* y;
};

// Computes:      y[i] = x[index[i]]
// Shapes:        x: [from, c] bf16; index: [rows] u32, below from; y: [rows, c] bf16
// Grid, Block:   ceil(cap / 4) blocks of 4 warps, one warp a row; no shared memory
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        y
// Deterministic: yes
// Called by:     ops::gather_rows::cuda::forward
extern "C" __global__ void __launch_bounds__(WARPS * 32) gather_rows_fwd_bf16(const GatherForward a) {
    const uint32_t row = blockIdx.x * WARPS + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows_now(a.run, a.rows)) return;
    const bool wide = a.c % VEC == 0;
    const bf16* x = a.x + size_t(a.index[row]) * a.c;
    bf16* y = a.y + size_t(row) * a.c;
    if (!wide) {
        for (uint32_t i = lane; i < a.c; i += 32) y[i] = x[i];
        return;
    }
    for (uint32_t i = lane * VEC; i < a.c; i += SPAN)
        *reinterpret_cast<Vec8*>(y + i) = *reinterpret_cast<const Vec8*>(x + i);
}

struct GatherBackward {
    const Run* run;
    Rows from;
    Rows rows;
    uint32_t c;
    uint32_t accumulate;
    const bf16* dy;
    const uint32_t* index;
    bf16* dx;
    // [from]: the first i with index[i] = row, and how many there are.
    uint2* source;
};

// Computes:      source = (none, 0)
// Shapes:        source: [from] pairs of u32
// Grid, Block:   ceil(cap from / 256) blocks of 256 threads; no shared memory
// Alignment:     8 bytes
// Aliasing:      none
// Writes:        source
// Deterministic: yes
// Called by:     ops::gather_rows::cuda::backward
extern "C" __global__ void __launch_bounds__(256) gather_rows_bwd_clear_u32(const GatherBackward a) {
    const uint32_t row = blockIdx.x * 256 + threadIdx.x;
    if (row < rows_now(a.run, a.from)) a.source[row] = make_uint2(NONE, 0);
}

// Computes:      source[row] = the first i with index[i] = row, and how many there are
// Shapes:        index: [rows] u32, below from; source: [from] pairs of u32
// Grid, Block:   ceil(cap rows / 256) blocks of 256 threads; no shared memory
// Alignment:     4 bytes
// Aliasing:      none
// Accumulates:   source
// Deterministic: yes, minimum and count of integers
// Called by:     ops::gather_rows::cuda::backward
extern "C" __global__ void __launch_bounds__(256) gather_rows_bwd_index_u32(const GatherBackward a) {
    const uint32_t i = blockIdx.x * 256 + threadIdx.x;
    if (i >= rows_now(a.run, a.rows)) return;
    uint2* source = a.source + a.index[i];
    atomicMin(&source->x, i);
    atomicAdd(&source->y, 1u);
}

// Computes:      dx[row] (+)= the sum of dy[i] over all i with index[i] = row, in the order of i
// Shapes:        dx: [from, c] bf16; dy: [rows, c] bf16; index: [rows] u32; source: [from] pairs of u32
// Grid, Block:   ceil(cap from / 4) blocks of 4 warps, one warp a row of dx; no shared memory
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        dx (accumulates if asked to)
// Deterministic: yes
// Called by:     ops::gather_rows::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) gather_rows_bwd_bf16(const GatherBackward a) {
    const uint32_t row = blockIdx.x * WARPS + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (row >= rows_now(a.run, a.from)) return;
    const uint32_t rows = rows_now(a.run, a.rows), c = a.c;
    const bool wide = c % VEC == 0;
    const uint2 source = a.source[row];
    if (source.y == 0 && a.accumulate) return;
    bf16* dx = a.dx + size_t(row) * c;
    for (uint32_t base = 0; base < c; base += SPAN) {
        const uint32_t at = base + lane * VEC;
        float sum[8] = {};
        if (a.accumulate && at < c) load8(dx, at, c, wide, sum);
        uint32_t i = source.x;
        for (uint32_t left = source.y; left > 0; --left) {
            if (at < c) {
                float d[8];
                load8(a.dy + size_t(i) * c, at, c, wide, d);
#pragma unroll
                for (int j = 0; j < VEC; ++j) sum[j] += d[j];
            }
            if (left == 1) break;
            // A row that is named again, which is rare: the warp looks for the next place.
            uint32_t hits = 0;
            for (uint32_t next = i + 1; hits == 0; next += 32) {
                hits = __ballot_sync(0xffffffffu, next + lane < rows && a.index[next + lane] == row);
                i = next + __ffs(hits) - 1;
            }
        }
        if (at < c) store8(dx, at, c, wide, sum);
    }
}
