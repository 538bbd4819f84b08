// Cross-entropy of masked pieces against the tied word table: logits = h word^T + bias.
//
// Logits are never in memory. Forward keeps, of each row and each strip of 64 or 32 pieces (a warp's part of a tile),
// the largest logit, its piece and the sum of exponentials, then joins the strips. Backward takes a chunk of the
// vocabulary at a time: it forms dlogit [rows, chunk] in the workspace, then dword, dbias of the chunk, and the
// chunk's share of dh.

#include "weight_gradient.cuh"

extern __shared__ __align__(128) uint8_t shared[];

constexpr float LOG2_E = 1.44269504f;

// Largest logit, the first piece that has it, and the sum of exp(logit - largest), of some pieces of a row.
struct Peak {
    float top, sum;
    uint32_t piece;
};

// Of two parts of a row. A part without pieces has top = -inf, sum = 0.
__device__ inline Peak join(const Peak& a, const Peak& b) {
    Peak c;
    bool second = b.top > a.top || (b.top == a.top && b.piece < a.piece);
    c.top = second ? b.top : a.top;
    c.piece = second ? b.piece : a.piece;
    float low = second ? a.top : b.top, low_sum = second ? a.sum : b.sum;
    c.sum = (second ? b.sum : a.sum) + low_sum * exp2_fast((low - c.top) * LOG2_E);
    return c;
}

// Mirrors ops::masked_ce::cuda::Tiles.
struct MaskedCeForward {
    const Run* run;
    const bf16* h;
    const bf16* word;
    const float* bias;
    const uint32_t* label;
    // [strips, row_stride] of each part of Peak.
    float* top;
    float* sum;
    uint32_t* piece;
    // [rows] logit of the label.
    float* at_label;
    Rows rows;
    uint32_t c, vocab;
    uint32_t row_stride;
};

template <class T, Fetch FETCH>
__device__ inline void forward(const MaskedCeForward& a) {
    Extent e;
    Accumulator<T> c;
    const uint32_t rows = rows_now(a.run, a.rows);
    if (!product<T, Along::K, Along::K, FETCH>(c, e, {a.h, a.c}, {a.word, a.c}, rows, a.vocab, a.c, shared)) return;

    // A lane holds columns 2t, 2t + 1 of every 8, of rows g and g + 8 of every 16; 4 lanes share a row.
    uint32_t lane = threadIdx.x & 31;
    uint32_t first = e.n0 + warp_col<T>(), strip = first / T::WN;
    if (first >= a.vocab) return;
    float bias[T::WN / 8][2];
#pragma unroll
    for (int j = 0; j < T::WN / 8; ++j)
#pragma unroll
        for (int x = 0; x < 2; ++x) {
            uint32_t piece = first + j * 8 + (lane & 3) * 2 + x;
            bias[j][x] = piece < a.vocab ? a.bias[piece] : -INFINITY;
        }
#pragma unroll
    for (int i = 0; i < T::WM / 16; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            uint32_t row = e.m0 + warp_row<T>() + i * 16 + half * 8 + (lane >> 2);
            bool inside = row < e.m;
            uint32_t label = inside ? a.label[row] : 0;
            // Which of this lane's pieces is the label's, if any.
            uint32_t wanted = label - first - (lane & 3) * 2;
            Peak peak = {-INFINITY, 0.0f, first};
            float at_label = 0.0f;
#pragma unroll
            for (int j = 0; j < T::WN / 8; ++j)
#pragma unroll
                for (int x = 0; x < 2; ++x) {
                    float& logit = c.v[i][j][half * 2 + x];
                    logit += bias[j][x];
                    if (logit > peak.top) {
                        peak.top = logit;
                        peak.piece = first + j * 8 + (lane & 3) * 2 + x;
                    }
                    if (wanted == j * 8 + x) at_label = logit;
                }
            if (inside && wanted < T::WN && wanted % 8 < 2) a.at_label[row] = at_label;
#pragma unroll
            for (int other = 1; other <= 2; other <<= 1) {
                float top = __shfl_xor_sync(0xffffffffu, peak.top, other);
                uint32_t piece = __shfl_xor_sync(0xffffffffu, peak.piece, other);
                if (top > peak.top || (top == peak.top && piece < peak.piece)) {
                    peak.top = top;
                    peak.piece = piece;
                }
            }
            float shift = peak.top * LOG2_E;
#pragma unroll
            for (int j = 0; j < T::WN / 8; ++j)
#pragma unroll
                for (int x = 0; x < 2; ++x) peak.sum += exp2_fast(fmaf(c.v[i][j][half * 2 + x], LOG2_E, -shift));
            peak.sum += __shfl_xor_sync(0xffffffffu, peak.sum, 1);
            peak.sum += __shfl_xor_sync(0xffffffffu, peak.sum, 2);
            if (inside && (lane & 3) == 0) {
                uint64_t at = uint64_t(strip) * a.row_stride + row;
                a.top[at] = peak.top;
                a.sum[at] = peak.sum;
                a.piece[at] = peak.piece;
            }
        }
}

// Computes   of each row and strip of pieces: largest logit, its first piece, sum of exponentials; the label's logit
// Shapes     h [rows, c], word [vocab, c] bf16; bias [vocab] f32; label [rows] u32; top, sum f32, piece u32
//            [strips, row_stride], strips of 64 (large) or 32 (small, odd) pieces; at_label [rows] f32
// Grid       tiles of [rows, vocab]; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: h, word and their rows 16 bytes; odd: none
// Aliasing   none
// Writes     top, sum, piece, at_label
// Deterministic: yes
// Called by  ops::masked_ce::cuda::forward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    masked_ce_fwd_large_bf16(const __grid_constant__ MaskedCeForward a) {
    forward<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_fwd_small_bf16(const __grid_constant__ MaskedCeForward a) {
    forward<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_fwd_odd_bf16(const __grid_constant__ MaskedCeForward a) {
    forward<Small, Fetch::Elements>(a);
}

// Mirrors ops::masked_ce::cuda::JoinRows.
struct MaskedCeForwardRows {
    const Run* run;
    const uint32_t* label;
    const float* top;
    const float* sum;
    const uint32_t* piece;
    const float* at_label;
    float* lse;
    // [3, blocks]: sums of lse - logit[label], all rows (block 0), rows whose first largest logit is the label's.
    float* part;
    Rows rows;
    uint32_t strips, row_stride;
};

// Computes   lse; of each 32 rows, the sum of lse - logit[label] and the number of rows whose argmax is the label
// Shapes     as masked_ce_fwd; lse [rows], part [3, blocks] f32
// Grid       rows / 32; Block 512: a lane a row, a warp every 16th strip; Shared memory 6144 (static)
// Alignment  none
// Aliasing   none
// Writes     lse, part
// Deterministic: yes, strips are joined in a fixed order
// Called by  ops::masked_ce::cuda::forward
extern "C" __global__ void __launch_bounds__(512)
    masked_ce_fwd_rows_f32(const __grid_constant__ MaskedCeForwardRows a) {
    constexpr uint32_t WARPS = 16;
    __shared__ float top[WARPS][32], sum[WARPS][32];
    __shared__ uint32_t piece[WARPS][32];
    uint32_t rows = rows_now(a.run, a.rows), warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    uint32_t row = blockIdx.x * 32 + lane;
    Peak mine = {-INFINITY, 0.0f, 0xffffffffu};
    if (row < rows) {
#pragma unroll 4
        for (uint32_t strip = warp; strip < a.strips; strip += WARPS) {
            uint64_t at = uint64_t(strip) * a.row_stride + row;
            Peak next = {a.top[at], a.sum[at], a.piece[at]};
            // The first strip has nothing to be joined to: -inf less -inf is not a number.
            mine = strip == warp ? next : join(mine, next);
        }
    }
    top[warp][lane] = mine.top;
    sum[warp][lane] = mine.sum;
    piece[warp][lane] = mine.piece;
    __syncthreads();
    if (warp != 0) return;
    float loss = 0.0f, hit = 0.0f;
    if (row < rows) {
        for (uint32_t w = 1; w < min(WARPS, a.strips); ++w)
            mine = join(mine, {top[w][lane], sum[w][lane], piece[w][lane]});
        float lse = mine.top + logf(mine.sum);
        a.lse[row] = lse;
        loss = lse - a.at_label[row];
        hit = mine.piece == a.label[row] ? 1.0f : 0.0f;
    }
    loss = warp_sum(loss);
    hit = warp_sum(hit);
    if (lane == 0) {
        a.part[blockIdx.x] = loss;
        a.part[gridDim.x + blockIdx.x] = blockIdx.x == 0 ? float(rows) : 0.0f;
        a.part[2 * gridDim.x + blockIdx.x] = hit;
    }
}

// Mirrors ops::masked_ce::cuda::Dlogit.
struct MaskedCeDlogit {
    const Run* run;
    const bf16* h;
    // Of the chunk's first piece.
    const bf16* word;
    const float* bias;
    const uint32_t* label;
    const float* lse;
    const float* scale;
    bf16* dlogit;
    Rows rows;
    uint32_t c;
    // The chunk: its first piece, its pieces, the row length of dlogit, a multiple of 8.
    uint32_t first, pieces, stride;
};

struct FinishDlogit {
    const MaskedCeDlogit& a;
    float scale;
    float bias[8];

    __device__ FinishDlogit(const MaskedCeDlogit& a) : a(a), scale(*a.scale) {}
    __device__ void begin(uint32_t col, int count) {
        // Pieces beyond the end have probability 0: rows are padded with zeros.
#pragma unroll
        for (int i = 0; i < 8; ++i) bias[i] = i < count ? a.bias[col + i] : -INFINITY;
    }
    __device__ void row(uint32_t row, uint32_t col, float (&v)[8], int) {
        float lse = a.lse[row];
        uint32_t label = a.label[row] - a.first - col;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            float p = exp2_fast((v[i] + bias[i] - lse) * LOG2_E);
            v[i] = scale * (label == i ? p - 1.0f : p);
        }
        store(a.dlogit + uint64_t(row) * a.stride + col, v, 8, true);
    }
};

template <class T, Fetch FETCH>
__device__ inline void dlogit(const MaskedCeDlogit& a) {
    Extent e;
    Accumulator<T> c;
    const uint32_t rows = rows_now(a.run, a.rows);
    if (!product<T, Along::K, Along::K, FETCH>(c, e, {a.h, a.c}, {a.word, a.c}, rows, a.pieces, a.c, shared)) return;
    FinishDlogit out(a);
    finish<T, 8>(c, e, shared, out);
}

// Computes   dlogit = scale * (exp(h word^T + bias - lse) - one_hot(label)) of a chunk of the vocabulary
// Shapes     h [rows, c], word [pieces, c] bf16; bias [pieces] f32; label u32, lse f32 [rows]; scale [1] f32;
//            dlogit [rows, stride] bf16, zeros from pieces to the next multiple of 8
// Grid       tiles of [rows, pieces]; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: h, word and their rows 16 bytes; odd: none; dlogit and its rows 16 bytes
// Aliasing   none
// Writes     dlogit
// Deterministic: yes
// Called by  ops::masked_ce::cuda::backward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    masked_ce_bwd_dlogit_large_bf16(const __grid_constant__ MaskedCeDlogit a) {
    dlogit<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_bwd_dlogit_small_bf16(const __grid_constant__ MaskedCeDlogit a) {
    dlogit<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_bwd_dlogit_odd_bf16(const __grid_constant__ MaskedCeDlogit a) {
    dlogit<Small, Fetch::Elements>(a);
}

// Mirrors ops::masked_ce::cuda::Dword.
struct MaskedCeDword {
    const Run* run;
    const bf16* dlogit;
    const bf16* h;
    // n are the chunk's pieces, k is c.
    WeightGradient out;
    Rows rows;
    uint32_t stride;
};

template <class T, Fetch FETCH>
__device__ inline void dword(const MaskedCeDword& a) {
    weight_gradient<T, FETCH>(a.out, {a.dlogit, a.stride}, {a.h, a.out.k}, rows_now(a.run, a.rows), shared);
}

// Computes   dword += dlogit^T h, dbias += sum over rows of dlogit; or the part of each split of the rows
// Shapes     dlogit [rows, stride], h [rows, c] bf16; dword [pieces, c], dbias [pieces],
//            partial [splits, part_len(pieces, c)] f32
// Grid       tiles of [pieces, c], splits; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: dlogit, h and their rows 16 bytes; odd: none
// Aliasing   none
// Accumulates dword, dbias; writes partial instead if there are more splits than 1
// Deterministic: yes
// Called by  ops::masked_ce::cuda::backward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    masked_ce_bwd_dword_large_bf16(const __grid_constant__ MaskedCeDword a) {
    dword<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_bwd_dword_small_bf16(const __grid_constant__ MaskedCeDword a) {
    dword<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_bwd_dword_odd_bf16(const __grid_constant__ MaskedCeDword a) {
    dword<Small, Fetch::Elements>(a);
}

// Computes   dword += sum of parts, dbias += sum of parts
// Shapes     as masked_ce_bwd_dword
// Grid       part_len(pieces, c) / 1024; Block 256, 4 elements a thread; Shared memory 0
// Alignment  none; 16-byte accesses if dword and dbias are aligned to 16 bytes
// Aliasing   none
// Accumulates dword, dbias
// Deterministic: yes, in the order of the splits
// Called by  ops::masked_ce::cuda::backward
extern "C" __global__ void __launch_bounds__(256)
    masked_ce_bwd_dword_sum_f32(const __grid_constant__ SumParts a) {
    sum_parts(a);
}

// Mirrors ops::masked_ce::cuda::Dh.
struct MaskedCeDh {
    const Run* run;
    const bf16* dlogit;
    // Of the chunk's first piece.
    const bf16* word;
    // [splits, rows_cap * c, padded to 16 bytes]
    float* part;
    Rows rows;
    uint32_t c, rows_cap;
    uint32_t pieces, stride;
    // 0 for the first chunk, which overwrites.
    uint32_t accumulate;
};

template <class T, Fetch FETCH>
__device__ inline void dh(const MaskedCeDh& a) {
    Extent e;
    if (!place_block<T>(e, rows_now(a.run, a.rows), a.c)) return;
    place_split(e, a.pieces);
    Accumulator<T> c;
    multiply<T, Along::K, Along::Outer, FETCH>(c, {a.dlogit, a.stride}, {a.word, a.c}, e, shared);
    AddOrPut out(a.part + blockIdx.y * padded(uint64_t(a.rows_cap) * a.c), a.c, a.accumulate != 0);
    finish<T, 4>(c, e, shared, out);
}

// Computes   part (+)= dlogit word, of each split of the chunk's pieces
// Shapes     dlogit [rows, stride], word [pieces, c] bf16; part [splits, padded(rows_cap * c)] f32
// Grid       tiles of [rows, c], splits; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: dlogit, word and their rows 16 bytes; odd: none
// Aliasing   none
// Writes     part, or adds to it
// Deterministic: yes
// Called by  ops::masked_ce::cuda::backward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    masked_ce_bwd_dh_large_bf16(const __grid_constant__ MaskedCeDh a) {
    dh<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_bwd_dh_small_bf16(const __grid_constant__ MaskedCeDh a) {
    dh<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    masked_ce_bwd_dh_odd_bf16(const __grid_constant__ MaskedCeDh a) {
    dh<Small, Fetch::Elements>(a);
}

// Mirrors ops::masked_ce::cuda::DhSum.
struct MaskedCeDhSum {
    const Run* run;
    const float* part;
    bf16* dh;
    Rows rows;
    uint32_t c, rows_cap, splits;
};

// Computes   dh = sum of parts
// Shapes     part [splits, padded(rows_cap * c)] f32, dh [rows, c] bf16
// Grid       rows_cap * c / 1024; Block 256, 4 elements a thread; Shared memory 0
// Alignment  part 16 bytes; dh none, 8-byte accesses if it is aligned to 16 bytes
// Aliasing   none
// Writes     dh
// Deterministic: yes, in the order of the splits
// Called by  ops::masked_ce::cuda::backward
extern "C" __global__ void __launch_bounds__(256) masked_ce_bwd_dh_sum_bf16(const __grid_constant__ MaskedCeDhSum a) {
    uint64_t len = uint64_t(rows_now(a.run, a.rows)) * a.c, stride = padded(uint64_t(a.rows_cap) * a.c);
    uint64_t at = (uint64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (at >= len) return;
    int count = min(uint64_t(4), len - at);
    float total[4] = {};
    for (uint32_t s = 0; s < a.splits; ++s) {
        float x[4];
        load(x, a.part + s * stride + at, count, true);
#pragma unroll
        for (int i = 0; i < 4; ++i) total[i] += x[i];
    }
    if (count == 4 && aligned(a.dh, 8)) {
        *reinterpret_cast<uint2*>(a.dh + at) = make_uint2(pack2(total[0], total[1]), pack2(total[2], total[3]));
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (i < count) a.dh[at + i] = __float2bfloat16(total[i]);
    }
}
