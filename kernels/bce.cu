// Binary cross-entropy on logits. The formulas are in src/ops/bce/reference.rs.
#include "common.cuh"

constexpr int THREADS = 256;
// Elements of a thread at a time.
constexpr int VEC = 8;
// The target of an element that is left out.
constexpr uint32_t UNKNOWN = 255;

namespace {

struct Targets {
    uint2 bytes;
    __device__ uint32_t operator[](int j) const { return (j < 4 ? bytes.x : bytes.y) >> 8 * (j & 3) & 255; }
};

// Elements i .. i + 8 of n; what is beyond is unknown.
__device__ inline void load(const bf16* z, const uint8_t* target, uint64_t i, uint64_t n, float (&x)[8], Targets& t) {
    if (i + VEC <= n) {
        unpack(*reinterpret_cast<const Vec8*>(z + i), x);
        t.bytes = *reinterpret_cast<const uint2*>(target + i);
        return;
    }
    t.bytes = make_uint2(~0u, ~0u);
#pragma unroll
    for (int j = 0; j < VEC; ++j) {
        x[j] = 0.0f;
        if (i + j >= n) continue;
        x[j] = __bfloat162float(z[i + j]);
        (j < 4 ? t.bytes.x : t.bytes.y) &= ~(255u << 8 * (j & 3)) | uint32_t(target[i + j]) << 8 * (j & 3);
    }
}

}  // namespace

struct BceForward {
    const Run* run;
    Rows rows;
    uint32_t c;
    const bf16* z;
    const uint8_t* target;
    // [3, gridDim.x]
    float* partial;
};

// Computes:      sums over a block's elements: ln(1 + e^z) - t z, known targets, known targets on the right side of 0
// Shapes:        z: [rows, c] bf16; target: [rows, c] u8: 0, 1 or 255; partial: [3, gridDim.x] f32
// Grid, Block:   as many blocks of 256 threads as the launcher has partial sums for; 8 elements a thread and turn
// Shared memory: 128 bytes
// Alignment:     z 16, target 8 bytes
// Aliasing:      none
// Writes:        partial
// Deterministic: yes
// Called by:     ops::bce::cuda::forward
extern "C" __global__ void __launch_bounds__(THREADS) bce_fwd_bf16(const BceForward a) {
    __shared__ float shared[32];
    const uint64_t n = uint64_t(rows_now(a.run, a.rows)) * a.c;
    float loss = 0.0f, known = 0.0f, right = 0.0f;
    for (uint64_t i = (uint64_t(blockIdx.x) * THREADS + threadIdx.x) * VEC; i < n; i += uint64_t(gridDim.x) * THREADS * VEC) {
        float z[8];
        Targets t;
        load(a.z, a.target, i, n, z, t);
#pragma unroll
        for (int j = 0; j < VEC; ++j) {
            if (t[j] == UNKNOWN) continue;
            bool yes = t[j] == 1;
            // ln(1 + e^-z) for yes, ln(1 + e^z) for no, without overflow.
            loss += fmaxf(yes ? -z[j] : z[j], 0.0f) + log1pf(expf(-fabsf(z[j])));
            known += 1.0f;
            right += (z[j] > 0.0f) == yes ? 1.0f : 0.0f;
        }
    }
    float* partial = a.partial + blockIdx.x;
    loss = block_sum(loss, shared);
    known = block_sum(known, shared);
    right = block_sum(right, shared);
    if (threadIdx.x > 0) return;
    partial[0] = loss;
    partial[gridDim.x] = known;
    partial[2 * gridDim.x] = right;
}

struct BceBackward {
    const Run* run;
    Rows rows;
    uint32_t c;
    const bf16* z;
    const uint8_t* target;
    const float* scale;
    bf16* dz;
};

// Computes:      dz = scale (sigmoid(z) - t), 0 where the target is unknown
// Shapes:        z, dz: [rows, c] bf16; target: [rows, c] u8; scale: [1] f32
// Grid, Block:   ceil(cap * c / 2048) blocks of 256 threads, 8 elements a thread; no shared memory
// Alignment:     z, dz 16, target 8 bytes
// Aliasing:      none
// Writes:        dz
// Deterministic: yes
// Called by:     ops::bce::cuda::backward
extern "C" __global__ void __launch_bounds__(THREADS) bce_bwd_bf16(const BceBackward a) {
    const uint64_t n = uint64_t(rows_now(a.run, a.rows)) * a.c;
    const uint64_t i = (uint64_t(blockIdx.x) * THREADS + threadIdx.x) * VEC;
    if (i >= n) return;
    float z[8];
    Targets t;
    load(a.z, a.target, i, n, z, t);
    const float scale = *a.scale;
#pragma unroll
    for (int j = 0; j < VEC; ++j) {
        bool yes = t[j] == 1;
        // The sigmoid of what is wrong: 1 - sigmoid(z) would cancel.
        float d = (yes ? -scale : scale) / (1.0f + expf(yes ? z[j] : -z[j]));
        z[j] = t[j] == UNKNOWN ? 0.0f : d;
    }
    if (i + VEC <= n) {
        *reinterpret_cast<Vec8*>(a.dz + i) = pack(z);
        return;
    }
#pragma unroll
    for (int j = 0; j < VEC; ++j)
        if (i + j < n) a.dz[i + j] = __float2bfloat16(z[j]);
}
