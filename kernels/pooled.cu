// Pooled states between a micro-batch and the store of the step: src/ops/pooled/mod.rs.
#include "common.cuh"

constexpr int BLOCK = 128;

// Places of Count::MicroPairs and those behind it among the counts of a run.
constexpr int MICRO_PAIRS = 11, MICRO_IMAGES = 12, FIRST_PAIR = 13, FIRST_IMAGE = 14, FIRST_TEXT = 15;

namespace {

// Whether row `r` of the micro-batch is a text, and its row in the store.
__device__ inline bool place(const Run* run, uint32_t r, uint32_t& to) {
    const uint32_t* n = run->counts;
    bool text = r >= n[MICRO_IMAGES];
    uint32_t nth = text ? r - n[MICRO_IMAGES] : r;
    if (nth < n[MICRO_PAIRS]) {
        to = n[FIRST_PAIR] + nth;
    } else {
        to = n[text ? FIRST_TEXT : FIRST_IMAGE] + nth - n[MICRO_PAIRS];
    }
    return text;
}

}  // namespace

struct PooledStore {
    const Run* run;
    Rows rows;
    uint32_t c;
    const bf16* pooled;
    float* images;
    float* texts;
};

// Computes:      each row of pooled to its place in images or texts
// Shapes:        pooled: [rows, c] bf16; images, texts: [stored, c] f32
// Grid, Block:   one block of 128 a row of the capacity; no shared memory
// Alignment:     of one element
// Aliasing:      none
// Writes:        the rows' places
// Deterministic: yes
// Called by:     ops::pooled::cuda::store
extern "C" __global__ void __launch_bounds__(BLOCK) pooled_store_bf16(const PooledStore a) {
    uint32_t row = blockIdx.x, to;
    if (row >= rows_now(a.run, a.rows)) return;
    bool text = place(a.run, row, to);
    float* out = (text ? a.texts : a.images) + size_t(to) * a.c;
    for (uint32_t i = threadIdx.x; i < a.c; i += BLOCK) out[i] = __bfloat162float(a.pooled[size_t(row) * a.c + i]);
}

struct PooledFetch {
    const Run* run;
    Rows rows;
    uint32_t c;
    const float* images;
    const float* texts;
    float* pooled;
};

// Computes:      each row of pooled from its place in images or texts
// Shapes:        pooled: [rows, c] f32; images, texts: [stored, c] f32
// Grid, Block:   as pooled_store_bf16
// Writes:        pooled
// Deterministic: yes
// Called by:     ops::pooled::cuda::fetch
extern "C" __global__ void __launch_bounds__(BLOCK) pooled_fetch_f32(const PooledFetch a) {
    uint32_t row = blockIdx.x, from;
    if (row >= rows_now(a.run, a.rows)) return;
    bool text = place(a.run, row, from);
    const float* in = (text ? a.texts : a.images) + size_t(from) * a.c;
    for (uint32_t i = threadIdx.x; i < a.c; i += BLOCK) a.pooled[size_t(row) * a.c + i] = in[i];
}
