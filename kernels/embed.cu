// Writes the token states that enter the trunk, and adds their gradients into the tables. See
// src/ops/embed/reference.rs.
//
// Backward adds up rows that share a row of a table without atomics: tokens are sorted by table row (stably, so the
// order of every sum is fixed), each warp sums a piece of the sorted list, and what is left of a table row at the
// ends of pieces is added up in the order of the pieces.
#include "rows.cuh"

constexpr int WARPS = 4;

namespace {

// Tokens that a warp writes: the modality is read once for them.
constexpr int TOKENS = 16;
// Tokens whose rows are on their way at the same time.
constexpr int AHEAD = 4;

}  // namespace

struct EmbedTextForward {
    const Run* run;
    Rows rows;
    uint32_t c;
    const uint32_t* row;
    const uint32_t* id;
    const uint32_t* pos;
    const bf16* word;
    const bf16* position;
    const bf16* modality;
    bf16* x;
};

// Computes:      x[row[t]] = word[id[t]] + position[pos[t]] + modality[0]
// Shapes:        row, id, pos: [rows] u32; word: [vocab, c], position: [max_text, c], modality: [2, c], x: [tokens, c],
//                all bf16
// Grid, Block:   (ceil(cap / 64), ceil(c / 256)) blocks of 4 warps, 16 tokens a warp; no shared memory
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        the named rows of x
// Deterministic: yes
// Called by:     ops::embed::cuda::text_forward
extern "C" __global__ void __launch_bounds__(WARPS * 32) embed_text_fwd_bf16(const EmbedTextForward a) {
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31, c = a.c;
    const uint32_t i = blockIdx.y * SPAN + lane * VEC, rows = rows_now(a.run, a.rows);
    const uint32_t first = (blockIdx.x * WARPS + warp) * TOKENS;
    if (first >= rows || i >= c) return;
    const bool wide = c % VEC == 0;
    float modality[8];
    load8(a.modality, i, c, wide, modality);
    const uint32_t end = min(first + TOKENS, rows);
    for (uint32_t t = first; t < end; t += AHEAD) {
        Vec8 word[AHEAD], position[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            if (t + k >= end) break;
            word[k] = fetch8(a.word + size_t(a.id[t + k]) * c, i, c, wide);
            position[k] = fetch8(a.position + size_t(a.pos[t + k]) * c, i, c, wide);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            if (t + k >= end) break;
            float x[8], p[8];
            unpack(word[k], x);
            unpack(position[k], p);
#pragma unroll
            for (int j = 0; j < VEC; ++j) x[j] += p[j] + modality[j];
            store8(a.x + size_t(a.row[t + k]) * c, i, c, wide, x);
        }
    }
}

struct EmbedScaleForward {
    const Run* run;
    Rows visible;
    Rows hidden;
    uint32_t c;
    const uint32_t* vis_row;
    const uint32_t* vis_cell;
    const uint32_t* hid_row;
    const uint32_t* hid_cell;
    const bf16* proj;
    const bf16* position;
    const bf16* mask;
    const bf16* modality;
    bf16* x;
};

// Computes:      x[vis_row[v]] = proj[v] + position[vis_cell[v]] + modality[1];
//                x[hid_row[h]] = mask + position[hid_cell[h]] + modality[1]
// Shapes:        vis_row, vis_cell: [visible] u32; hid_row, hid_cell: [hidden] u32; proj: [visible, c],
//                position: [cells, c], mask: [c], modality: [2, c], x: [tokens, c], all bf16
// Grid, Block:   (ceil(cap of both / 64), ceil(c / 256)) blocks of 4 warps, 16 tokens a warp; no shared memory
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        the named rows of x
// Deterministic: yes
// Called by:     ops::embed::cuda::scale_forward
extern "C" __global__ void __launch_bounds__(WARPS * 32) embed_scale_fwd_bf16(const EmbedScaleForward a) {
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31, c = a.c;
    const uint32_t i = blockIdx.y * SPAN + lane * VEC;
    const uint32_t visible = rows_now(a.run, a.visible), rows = visible + rows_now(a.run, a.hidden);
    const uint32_t first = (blockIdx.x * WARPS + warp) * TOKENS;
    if (first >= rows || i >= c) return;
    const bool wide = c % VEC == 0;
    float modality[8];
    load8(a.modality + c, i, c, wide, modality);
    const Vec8 mask = fetch8(a.mask, i, c, wide);
    const uint32_t end = min(first + TOKENS, rows);
    for (uint32_t t = first; t < end; t += AHEAD) {
        Vec8 state[AHEAD], position[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const uint32_t v = t + k;
            if (v >= end) break;
            const uint32_t cell = v < visible ? a.vis_cell[v] : a.hid_cell[v - visible];
            state[k] = v < visible ? fetch8(a.proj + size_t(v) * c, i, c, wide) : mask;
            position[k] = fetch8(a.position + size_t(cell) * c, i, c, wide);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const uint32_t v = t + k;
            if (v >= end) break;
            const uint32_t row = v < visible ? a.vis_row[v] : a.hid_row[v - visible];
            float x[8], p[8];
            unpack(state[k], x);
            unpack(position[k], p);
#pragma unroll
            for (int j = 0; j < VEC; ++j) x[j] += p[j] + modality[j];
            store8(a.x + size_t(row) * c, i, c, wide, x);
        }
    }
}

// A table that gradients are added into.
struct EmbedTable {
    // Its row for the tokens of both parts.
    const uint32_t* key[2];
    float* grad;
    // (key, token) of all tokens: sorted by key, and room for sorting.
    uint2* sorted;
    uint2* spare;
    // [pieces, 2, spans of c]: what a piece has of the table row that it begins within, of that which it ends within.
    float* partial;
    // Bits of a key.
    uint32_t bits;
};

// The backward kernels share their arguments. Tokens come in two parts: text tokens and none, or visible and hidden
// tokens of a scale.
struct EmbedBackward {
    const Run* run;
    Rows part[2];
    uint32_t c;
    const uint32_t* row[2];
    const bf16* dx;
    // Rows of the first part, if wanted.
    bf16* dproj;
    EmbedTable table[2];
    // [blocks of embed_bwd_sum, 2, spans of c]: sums over all tokens and over those of the second part.
    float* totals;
    float* dmodality;
    // If wanted.
    float* dmask;
};

namespace {

constexpr int SORT_WARPS = 32;
constexpr int DIGIT_BITS = 8;
constexpr int DIGITS = 1 << DIGIT_BITS;

// Tokens that a warp of embed_bwd_sum sums: one a lane knows of.
constexpr int PIECE = 32;
// Rows that are on their way at the same time.
constexpr int BATCH = 8;

}  // namespace

// Computes:      table[i].sorted = (key, token) of all tokens by key, equal keys in the order of tokens
// Shapes:        key[p]: [part p] u32; sorted, spare: [all tokens] pairs of u32
// Grid, Block:   as many blocks of 1024 threads as there are tables
// Shared memory: 33 KiB
// Alignment:     8 bytes
// Aliasing:      none
// Writes:        sorted, spare
// Deterministic: yes
// Called by:     ops::embed::cuda::backward
//
// Digits from the lowest to the highest. Warp w has the w-th stretch of the list: it counts its digits, the counts
// are summed over digits and, within one, warps, and each warp puts its elements there in order. Digits collide on banks
// as they fall, so the counts are reached as rarely as can be: by one lane a digit, with one atomic.
extern "C" __global__ void __launch_bounds__(SORT_WARPS * 32) embed_bwd_sort_u32(const EmbedBackward a) {
    __shared__ uint32_t counts[SORT_WARPS][DIGITS];
    __shared__ uint32_t sums[DIGITS / 32];
    const EmbedTable& table = a.table[blockIdx.x];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const uint32_t n0 = rows_now(a.run, a.part[0]), n = n0 + rows_now(a.run, a.part[1]);
    const uint32_t stretch = (n + SORT_WARPS * 32 - 1) / (SORT_WARPS * 32) * 32;
    const uint32_t begin = min(n, warp * stretch), end = min(n, begin + stretch);
    const uint32_t passes = max(1u, (table.bits + DIGIT_BITS - 1) / DIGIT_BITS);
    for (uint32_t pass = 0; pass < passes; ++pass) {
        // The last pass ends in `sorted`.
        uint2* out = (passes - pass) % 2 ? table.sorted : table.spare;
        const uint2* in = (passes - pass) % 2 ? table.spare : table.sorted;
        auto item = [&](uint32_t k) {
            if (k >= end) return make_uint2(~0u, 0);
            if (pass > 0) return in[k];
            return make_uint2(k < n0 ? table.key[0][k] : table.key[1][k - n0], k);
        };
        // The lanes with this lane's digit; those without an element are by themselves.
        auto digit = [&](uint2 item) { return item.x >> pass * DIGIT_BITS & (DIGITS - 1); };
        auto peers = [&](uint2 item, uint32_t k) {
            return __match_any_sync(0xffffffffu, k < end ? digit(item) : DIGITS);
        };
        for (uint32_t d = lane; d < DIGITS; d += 32) counts[warp][d] = 0;
        __syncwarp();
        uint2 next = item(begin + lane);
        for (uint32_t k = begin + lane; k - lane < end; k += 32) {
            const uint2 now = next;
            next = item(k + 32);
            const uint32_t same = peers(now, k);
            if (k < end && lane == __ffs(same) - 1) atomicAdd(&counts[warp][digit(now)], __popc(same));
        }
        __syncthreads();
        uint32_t before = 0, total = 0;
        if (threadIdx.x < DIGITS) {
            for (int w = 0; w < SORT_WARPS; ++w) total += counts[w][threadIdx.x];
            before = total;
#pragma unroll
            for (int o = 1; o < 32; o *= 2) {
                const uint32_t left = __shfl_up_sync(0xffffffffu, before, o);
                if (lane >= o) before += left;
            }
            if (lane == 31) sums[warp] = before;
        }
        __syncthreads();
        if (threadIdx.x < DIGITS) {
            before -= total;
            for (uint32_t w = 0; w < warp; ++w) before += sums[w];
            for (int w = 0; w < SORT_WARPS; ++w) {
                const uint32_t count = counts[w][threadIdx.x];
                counts[w][threadIdx.x] = before;
                before += count;
            }
        }
        __syncthreads();
        next = item(begin + lane);
        for (uint32_t k = begin + lane; k - lane < end; k += 32) {
            const uint2 now = next;
            next = item(k + 32);
            const uint32_t same = peers(now, k), rank = __popc(same & ((1u << lane) - 1));
            uint32_t place = 0;
            if (k < end && rank == 0) place = atomicAdd(&counts[warp][digit(now)], __popc(same));
            place = __shfl_sync(0xffffffffu, place, __ffs(same) - 1) + rank;
            if (k < end) out[place] = now;
            __syncwarp();
        }
        __syncthreads();
    }
}

// Computes:      grad[key] += the sum of the rows of dx of its tokens, where they all lie in one piece; else the
//                piece's share goes to partial; with table 0 also dproj[v] = dx[row[v]] and sums of all rows
// Shapes:        dx: [tokens, c] bf16; row[p]: [part p] u32; dproj: [part 0, c] bf16; grad: [.., c] f32;
//                partial: [pieces, 2, spans of c], totals: [gridDim.x, 2, spans of c] f32
// Grid, Block:   (ceil(cap of all tokens / 128), ceil(c / 256), tables) blocks of 4 warps, a piece each
// Shared memory: 8 KiB
// Alignment:     16-byte accesses where c is a multiple of 8, else single elements
// Aliasing:      none
// Writes:        dproj, partial, totals; accumulates grad
// Deterministic: yes
// Called by:     ops::embed::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) embed_bwd_sum_bf16(const EmbedBackward a) {
    __shared__ alignas(16) float shared[WARPS][2][SPAN];
    const EmbedTable& table = a.table[blockIdx.z];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31, c = a.c;
    const uint32_t n0 = rows_now(a.run, a.part[0]), n = n0 + rows_now(a.run, a.part[1]);
    if (blockIdx.x * WARPS * PIECE >= n) return;
    const bool wide = c % VEC == 0, main = blockIdx.z == 0;
    const uint32_t i = blockIdx.y * SPAN + lane * VEC;
    const uint32_t piece = blockIdx.x * WARPS + warp, first = piece * PIECE;
    const uint32_t count = first < n ? min(n - first, uint32_t(PIECE)) : 0;
    float all[8] = {}, marked[8] = {};
    if (count > 0) {
        // Each lane knows one token.
        uint2 mine = make_uint2(0, 0);
        uint32_t my_row = 0;
        if (lane < count) {
            mine = table.sorted[first + lane];
            my_row = mine.y < n0 ? a.row[0][mine.y] : a.row[1][mine.y - n0];
        }
        uint32_t key = __shfl_sync(0xffffffffu, mine.x, 0);
        bool begun = first > 0 && table.sorted[first - 1].x == key;
        float sum[8] = {};
        auto finish = [&](bool goes_on) {
            if (begun || goes_on) {
                float* span = table.partial + ((size_t(piece) * 2 + !begun) * gridDim.y + blockIdx.y) * SPAN;
                if (i < c) span_store(span, lane, sum);
            } else {
                add8(table.grad + size_t(key) * c, i, c, wide, sum);
            }
        };
        for (uint32_t k = 0; k < count; k += BATCH) {
            Vec8 rows[BATCH];
#pragma unroll
            for (int b = 0; b < BATCH; ++b) {
                const uint32_t row = __shfl_sync(0xffffffffu, my_row, k + b);
                if (k + b < count && i < c) rows[b] = fetch8(a.dx + size_t(row) * c, i, c, wide);
            }
#pragma unroll
            for (int b = 0; b < BATCH; ++b) {
                const uint32_t now = __shfl_sync(0xffffffffu, mine.x, k + b);
                const uint32_t token = __shfl_sync(0xffffffffu, mine.y, k + b);
                if (k + b >= count) break;
                if (now != key) {
                    finish(false);
                    key = now;
                    begun = false;
#pragma unroll
                    for (int j = 0; j < VEC; ++j) sum[j] = 0.0f;
                }
                if (i >= c) continue;
                float d[8];
                unpack(rows[b], d);
#pragma unroll
                for (int j = 0; j < VEC; ++j) sum[j] += d[j];
                if (!main) continue;
                const bool second = token >= n0;
#pragma unroll
                for (int j = 0; j < VEC; ++j) {
                    all[j] += d[j];
                    marked[j] += second ? d[j] : 0.0f;
                }
                if (a.dproj && !second) put8(a.dproj + size_t(token) * c, i, c, wide, rows[b]);
            }
        }
        finish(first + count < n && table.sorted[first + count].x == key);
    }
    if (!main) return;
    span_store(shared[warp][0], lane, all);
    span_store(shared[warp][1], lane, marked);
    __syncthreads();
    // Four floats a thread.
    const uint32_t which = threadIdx.x >> 6, four = threadIdx.x & 63;
    if (which == 1 && !a.dmask) return;
    float4 total = reinterpret_cast<const float4*>(shared[0][which])[four];
#pragma unroll
    for (int w = 1; w < WARPS; ++w) total = total + reinterpret_cast<const float4*>(shared[w][which])[four];
    if (blockIdx.y * SPAN + span_column(4 * four) >= c) return;
    float* span = a.totals + ((size_t(blockIdx.x) * 2 + which) * gridDim.y + blockIdx.y) * SPAN;
    reinterpret_cast<float4*>(span)[four] = total;
}

// Computes:      grad[key] += the sum of what the pieces have of it, where its tokens lie in several pieces
// Shapes:        as embed_bwd_sum_bf16
// Grid, Block:   as embed_bwd_sum_bf16; the warp of the piece in which the key begins adds it up
// Shared memory: none
// Alignment:     as embed_bwd_sum_bf16
// Aliasing:      none
// Accumulates:   grad
// Deterministic: yes, the sum is in the order of the pieces
// Called by:     ops::embed::cuda::backward
extern "C" __global__ void __launch_bounds__(WARPS * 32) embed_bwd_join_f32(const EmbedBackward a) {
    const EmbedTable& table = a.table[blockIdx.z];
    const uint32_t warp = threadIdx.x >> 5, lane = threadIdx.x & 31, c = a.c;
    const uint32_t n = rows_now(a.run, a.part[0]) + rows_now(a.run, a.part[1]);
    const uint32_t i = blockIdx.y * SPAN + lane * VEC;
    const uint32_t piece = blockIdx.x * WARPS + warp, first = piece * PIECE, end = first + PIECE;
    if (end >= n) return;
    const uint32_t key = table.sorted[end - 1].x;
    if (table.sorted[end].x != key) return;
    // A key that began earlier is another warp's.
    if (first > 0 && table.sorted[first - 1].x == key) return;
    // How many pieces go on with it: 32 of them are asked at once.
    uint32_t more = 1;
    for (uint32_t held = 32; held == 32; more += held) {
        const uint32_t next = (piece + more + 1 + lane) * PIECE;
        const uint32_t mask = __ballot_sync(0xffffffffu, next < n && table.sorted[next].x == key);
        held = mask == 0xffffffffu ? 32 : __ffs(~mask) - 1;
    }
    auto span = [&](uint32_t piece, uint32_t which) {
        return table.partial + ((size_t(piece) * 2 + which) * gridDim.y + blockIdx.y) * SPAN;
    };
    float sum[8] = {};
    if (i < c) {
        span_load(span(piece, 1), lane, sum);
#pragma unroll 4
        for (uint32_t p = piece + 1; p <= piece + more; ++p) {
            float d[8];
            span_load(span(p, 0), lane, d);
#pragma unroll
            for (int j = 0; j < VEC; ++j) sum[j] += d[j];
        }
    }
    add8(table.grad + size_t(key) * c, i, c, c % VEC == 0, sum);
}

// Computes:      dmodality += the sum over blocks of totals[.., 0, ..], dmask += that of totals[.., 1, ..]
// Shapes:        totals: [blocks of embed_bwd_sum, 2, spans of c]; dmodality, dmask: [c]; all f32
// Grid, Block:   (8 ceil(c / 256), 2 or 1 without dmask) blocks of 256 threads: 32 columns by 8 groups of blocks
// Shared memory: 1 KiB
// Alignment:     4 bytes
// Aliasing:      none
// Accumulates:   dmodality, dmask
// Deterministic: yes
// Called by:     ops::embed::cuda::backward
extern "C" __global__ void __launch_bounds__(256) embed_bwd_total_f32(const EmbedBackward a) {
    __shared__ float shared[8][32];
    const uint32_t col = threadIdx.x & 31, group = threadIdx.x >> 5, width = gridDim.x * 32;
    const uint32_t n = rows_now(a.run, a.part[0]) + rows_now(a.run, a.part[1]);
    const uint32_t blocks = (n + WARPS * PIECE - 1) / (WARPS * PIECE);
    const uint32_t place = blockIdx.x * 32 + col, i = span_column(place);
    float sum = 0.0f;
    if (i < a.c)
        for (uint32_t block = group; block < blocks; block += 8)
            sum += a.totals[(size_t(block) * 2 + blockIdx.y) * width + place];
    shared[group][col] = sum;
    __syncthreads();
    if (group > 0 || i >= a.c) return;
#pragma unroll
    for (int g = 1; g < 8; ++g) sum += shared[g][col];
    (blockIdx.y == 0 ? a.dmodality : a.dmask)[i] += sum;
}
