// Dropout: the mask is a function of key, site, step and element. See src/ops/dropout/reference.rs.
#include "common.cuh"

constexpr int THREADS = 256;
// Elements of a thread at a time: two blocks of random bits; and how many times.
constexpr int VEC = 8;
constexpr int TIMES = 2;

struct DropoutApply {
    const Run* run;
    Rows rows;
    uint32_t c;
    uint32_t accumulate;
    Drop drop;
    const bf16* x;
    bf16* y;
};

// Computes:      y (+)= x / (1 - p) where kept, else 0; without dropout in this run y (+)= x
// Shapes:        x, y: [rows, c] bf16
// Grid, Block:   ceil(cap * c / 4096) blocks of 256 threads, 16 elements a thread; no shared memory
// Alignment:     16 bytes
// Aliasing:      none
// Writes:        y (accumulates if asked to)
// Deterministic: yes
// Called by:     ops::dropout::cuda::apply
extern "C" __global__ void __launch_bounds__(THREADS) dropout_apply_bf16(const DropoutApply a) {
    const uint64_t n = uint64_t(rows_now(a.run, a.rows)) * a.c;
    const bool active = drop_active(a.run, a.drop);
#pragma unroll
    for (int k = 0; k < TIMES; ++k) {
        const uint64_t i = ((uint64_t(blockIdx.x) * TIMES + k) * THREADS + threadIdx.x) * VEC;
        if (i >= n) return;
        float factor[8];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            uint4 bits = make_uint4(0, 0, 0, 0);
            if (active) bits = drop_bits(a.run, a.drop, (i >> 2) + half);
            const uint32_t lane[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const float kept = lane[j] < a.drop.threshold ? 0.0f : a.drop.scale;
                factor[4 * half + j] = active ? kept : 1.0f;
            }
        }
        if (i + VEC <= n) {
            float x[8], y[8] = {};
            unpack(*reinterpret_cast<const Vec8*>(a.x + i), x);
            if (a.accumulate) unpack(*reinterpret_cast<const Vec8*>(a.y + i), y);
#pragma unroll
            for (int j = 0; j < VEC; ++j) y[j] += x[j] * factor[j];
            *reinterpret_cast<Vec8*>(a.y + i) = pack(y);
            continue;
        }
#pragma unroll
        for (int j = 0; j < VEC; ++j) {
            if (i + j >= n) break;
            float y = a.accumulate ? __bfloat162float(a.y[i + j]) : 0.0f;
            a.y[i + j] = __float2bfloat16(y + __bfloat162float(a.x[i + j]) * factor[j]);
        }
    }
}
