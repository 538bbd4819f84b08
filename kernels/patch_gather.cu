// Cuts patches out of 8-bit images. See src/ops/patch_gather/reference.rs.
#include "common.cuh"

constexpr int THREADS = 128;

struct PatchGather {
    const Run* run;
    Rows rows;
    uint32_t side;
    uint32_t patch;
    uint32_t fine;
    // Words of an image's bitmap.
    uint32_t hidden_words;
    // Pieces of a patch, patches of a block, and pieces of a patch that follow each other in a warp: a line.
    uint32_t pieces;
    uint32_t tokens;
    uint32_t line;
    float centre;
    float factor;
    const uint8_t* images;
    const uint32_t* hidden;
    const uint32_t* img;
    const uint32_t* cell;
    bf16* out;
};

namespace {

// A thread's pieces of a patch, one of each of EACH lines: N neighbouring pixels of one row, all within one cell of the
// bitmap, so that a thread asks where they are but once.
template <int N, int EACH>
__device__ inline void gather(const PatchGather& a) {
    // Line by line of all the block's patches: they are often neighbours, whose pixels share 32 bytes.
    const uint32_t thread = blockIdx.y * THREADS + threadIdx.x, lines = thread / a.line;
    const uint32_t token = lines % a.tokens, v = blockIdx.x * a.tokens + token;
    const uint32_t piece = lines / a.tokens * EACH * a.line + thread % a.line;
    if (piece >= a.pieces || v >= rows_now(a.run, a.rows)) return;
    const uint32_t img = a.img[v], cell = a.cell[v], grid = a.side / a.patch, across = a.patch / N;
    const uint32_t y = cell / grid * a.patch + piece / across, x = cell % grid * a.patch + piece % across * N;
    const uint32_t fine_cell = y / a.fine * (a.side / a.fine) + x / a.fine;
    const uint32_t word = a.hidden[size_t(img) * a.hidden_words + fine_cell / 32];
    const bool seen = (word >> fine_cell % 32 & 1) == 0;
    const uint8_t* from = a.images + (size_t(img) * a.side + y) * a.side + x;
    bf16* to = a.out + (size_t(v) * a.pieces + piece) * N;
    // Rows from one line to the next: a line of patches of 8 pixels has two.
    const size_t down = size_t(a.line / across) * a.side;
    auto normalised = [&](uint32_t pixel) { return (float(pixel) - a.centre) * a.factor; };
    if constexpr (N == 8) {
        uint2 bytes[EACH] = {};
#pragma unroll
        for (int k = 0; k < EACH; ++k)
            if (seen) bytes[k] = *reinterpret_cast<const uint2*>(from + k * down);
#pragma unroll
        for (int k = 0; k < EACH; ++k) {
            float p[8];
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                p[j] = seen ? normalised(bytes[k].x >> 8 * j & 255) : 0.0f;
                p[4 + j] = seen ? normalised(bytes[k].y >> 8 * j & 255) : 0.0f;
            }
            *reinterpret_cast<Vec8*>(to + size_t(k) * a.line * N) = pack(p);
        }
    } else {
        *to = __float2bfloat16(seen ? normalised(*from) : 0.0f);
    }
}

}  // namespace

// Computes:      out[v] = the pixels of patch cell[v] of image img[v], normalised, hidden ones 0
// Shapes:        images: [N, side, side] u8; hidden: [N, hidden_words] u32; img, cell: [rows] u32;
//                out: [rows, patch * patch] bf16
// Grid, Block:   (ceil(cap / tokens), ceil(pieces / 512)) blocks of 128 threads, 4 times 8 pixels a thread; no shared
//                memory
// Alignment:     side, patch and fine are multiples of 8: pixels are read 8 bytes at a time, which is what fills the
//                16 that are written
// Aliasing:      none
// Writes:        out
// Deterministic: yes
// Called by:     ops::patch_gather::cuda::run
extern "C" __global__ void __launch_bounds__(THREADS) patch_gather_fwd_bf16(const PatchGather a) { gather<8, 4>(a); }

// As patch_gather_fwd_bf16 for any side, patch and fine: one pixel a thread.
extern "C" __global__ void __launch_bounds__(THREADS) patch_gather_fwd_single_bf16(const PatchGather a) {
    gather<1, 1>(a);
}
