// Linear layer with what follows it: y = residual + dropout(act(x w^T + b)), and its gradients.

#include "weight_gradient.cuh"

extern __shared__ __align__(128) uint8_t shared[];

// Mirrors ops::linear::cuda::Forward.
struct LinearForward {
    const Run* run;
    const bf16* x;
    const bf16* w;
    const float* b;
    // May be null.
    const bf16* residual;
    bf16* y;
    // May be null.
    bf16* dact;
    Rows rows;
    uint32_t k, n;
    uint32_t gelu;
    Drop drop;
};

// GELU u Phi(u) and its derivative Phi(u) + u phi(u). Phi(-|u|) by one exponential and the approximation 7.1.26 of
// Abramowitz and Stegun, whose absolute error of 1.5e-7 is far below what bf16 keeps.
__device__ inline float2 gelu(float u) {
    float a = fabsf(u);
    float t = reciprocal(fmaf(a, 0.3275911f * 0.70710678f, 1.0f));
    float bell = exp2_fast(-0.72134752f * a * a);
    float p = fmaf(t, fmaf(t, fmaf(t, fmaf(t, 0.530702715f, -0.726576015f), 0.71070687f), -0.142248368f), 0.12741480f);
    float tail = p * t * bell;
    float cdf = u < 0.0f ? tail : 1.0f - tail;
    return make_float2(u * cdf, fmaf(u * 0.39894228f, bell, cdf));
}

// Multiplies elements index .. index + 8 by their factors of dropout.
__device__ inline void drop8(const Run* run, const Drop& drop, uint64_t index, float (&v)[8]) {
    uint4 a = drop_bits(run, drop, index >> 2), b = drop_bits(run, drop, (index >> 2) + 1);
    uint32_t bits[11] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    uint32_t shift = uint32_t(index) & 3;
    if (shift != 0) {
        uint4 c = drop_bits(run, drop, (index >> 2) + 2);
        bits[8] = c.x, bits[9] = c.y, bits[10] = c.z;
#pragma unroll
        for (int i = 0; i < 10; ++i) bits[i] = shift & 1 ? bits[i + 1] : bits[i];
#pragma unroll
        for (int i = 0; i < 8; ++i) bits[i] = shift & 2 ? bits[i + 2] : bits[i];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] *= bits[i] < drop.threshold ? 0.0f : drop.scale;
}

struct FinishForward {
    const LinearForward& a;
    bool drop, wide;
    float bias[8];

    __device__ FinishForward(const LinearForward& a)
        : a(a),
          drop(drop_active(a.run, a.drop)),
          wide(aligned(a.y, a.n) && aligned(a.dact, a.n) && aligned(a.residual, a.n)) {}
    __device__ void begin(uint32_t col, int count) {
#pragma unroll
        for (int i = 0; i < 8; ++i) bias[i] = i < count ? a.b[col + i] : 0.0f;
    }
    __device__ void row(uint32_t row, uint32_t col, float (&v)[8], int count) {
        uint64_t at = uint64_t(row) * a.n + col;
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] += bias[i];
        if (a.gelu) {
            float slope[8];
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                float2 g = gelu(v[i]);
                v[i] = g.x;
                slope[i] = g.y;
            }
            if (a.dact) store(a.dact + at, slope, count, wide);
        }
        if (drop) drop8(a.run, a.drop, at, v);
        if (a.residual) {
            float residual[8];
            load(residual, a.residual + at, count, wide);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] += residual[i];
        }
        store(a.y + at, v, count, wide);
    }
};

template <class T, Fetch FETCH>
__device__ inline void forward(const LinearForward& a) {
    Extent e;
    Accumulator<T> c;
    const uint32_t rows = rows_now(a.run, a.rows);
    if (!product<T, Along::K, Along::K, FETCH>(c, e, {a.x, a.k}, {a.w, a.k}, rows, a.n, a.k, shared)) return;
    FinishForward out(a);
    finish<T, 8>(c, e, shared, out);
}

// Computes   y = residual + dropout(act(x w^T + b)); dact = act' at the pre-activation
// Shapes     x [rows, k], w [n, k] bf16; b [n] f32; residual, y, dact [rows, n] bf16
// Grid       tiles of [rows, n]; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: x, w and their rows 16 bytes; odd: none
// Aliasing   y may be residual
// Writes     y, dact
// Deterministic: yes
// Called by  ops::linear::cuda::forward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    linear_fwd_large_bf16(const __grid_constant__ LinearForward a) {
    forward<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    linear_fwd_small_bf16(const __grid_constant__ LinearForward a) {
    forward<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    linear_fwd_odd_bf16(const __grid_constant__ LinearForward a) {
    forward<Small, Fetch::Elements>(a);
}

// du = dropout'(dy) * dact: in `du` if a dact is given or dropout is active in this run, else it is dy.
// Mirrors ops::linear::cuda::Upstream.
struct Upstream {
    const bf16* dy;
    // May be null.
    const bf16* dact;
    bf16* du;
    Drop drop;
};

__device__ inline bool formed(const Run* run, const Upstream& u) { return u.dact || drop_active(run, u.drop); }
__device__ inline const bf16* upstream(const Run* run, const Upstream& u) { return formed(run, u) ? u.du : u.dy; }

// Mirrors ops::linear::cuda::Du.
struct LinearDu {
    const Run* run;
    Upstream up;
    Rows rows;
    uint32_t n;
};

// Computes   du = dropout'(dy) * dact
// Shapes     dy, dact, du [rows, n] bf16
// Grid       rows * n / 2048; Block 256, 8 elements a thread; Shared memory 0
// Alignment  none; 16-byte accesses if all are aligned to 16 bytes
// Aliasing   du may be dy
// Writes     du, unless there is nothing to multiply by
// Deterministic: yes
// Called by  ops::linear::cuda::backward
extern "C" __global__ void __launch_bounds__(256) linear_bwd_du_bf16(const __grid_constant__ LinearDu a) {
    if (!formed(a.run, a.up)) return;
    uint64_t len = uint64_t(rows_now(a.run, a.rows)) * a.n;
    uint64_t at = (uint64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
    if (at >= len) return;
    int count = min(uint64_t(8), len - at);
    bool wide = aligned(a.up.dy, 8) && aligned(a.up.dact, 8) && aligned(a.up.du, 8);
    float v[8];
    load(v, a.up.dy + at, count, wide);
    if (drop_active(a.run, a.up.drop)) drop8(a.run, a.up.drop, at, v);
    if (a.up.dact) {
        float slope[8];
        load(slope, a.up.dact + at, count, wide);
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] *= slope[i];
    }
    store(a.up.du + at, v, count, wide);
}

// Mirrors ops::linear::cuda::Dx.
struct LinearDx {
    const Run* run;
    Upstream up;
    const bf16* w;
    // May be null.
    const bf16* below;
    bf16* dx;
    Rows rows;
    uint32_t k, n;
    uint32_t accumulate;
};

struct FinishDx {
    const LinearDx& a;
    bool wide;

    __device__ FinishDx(const LinearDx& a) : a(a), wide(aligned(a.dx, a.k) && aligned(a.below, a.k)) {}
    __device__ void begin(uint32_t, int) {}
    __device__ void row(uint32_t row, uint32_t col, float (&v)[8], int count) {
        uint64_t at = uint64_t(row) * a.k + col;
        if (a.below) {
            float slope[8];
            load(slope, a.below + at, count, wide);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] *= slope[i];
        }
        if (a.accumulate) {
            float before[8];
            load(before, a.dx + at, count, wide);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] += before[i];
        }
        store(a.dx + at, v, count, wide);
    }
};

template <class T, Fetch FETCH>
__device__ inline void backward_dx(const LinearDx& a) {
    Extent e;
    Accumulator<T> c;
    const uint32_t rows = rows_now(a.run, a.rows);
    const Operand du = {upstream(a.run, a.up), a.n};
    if (!product<T, Along::K, Along::Outer, FETCH>(c, e, du, {a.w, a.k}, rows, a.k, a.n, shared)) return;
    FinishDx out(a);
    finish<T, 8>(c, e, shared, out);
}

// Computes   dx (+)= (du w) * below
// Shapes     du [rows, n], w [n, k], below, dx [rows, k] bf16
// Grid       tiles of [rows, k]; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: dy, du, w and their rows 16 bytes; odd: none
// Aliasing   none
// Writes     dx, or adds to it
// Deterministic: yes
// Called by  ops::linear::cuda::backward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    linear_bwd_dx_large_bf16(const __grid_constant__ LinearDx a) {
    backward_dx<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    linear_bwd_dx_small_bf16(const __grid_constant__ LinearDx a) {
    backward_dx<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    linear_bwd_dx_odd_bf16(const __grid_constant__ LinearDx a) {
    backward_dx<Small, Fetch::Elements>(a);
}

// Mirrors ops::linear::cuda::Dw.
struct LinearDw {
    const Run* run;
    Upstream up;
    const bf16* x;
    WeightGradient out;
    Rows rows;
};

template <class T, Fetch FETCH>
__device__ inline void backward_dw(const LinearDw& a) {
    weight_gradient<T, FETCH>(a.out, {upstream(a.run, a.up), a.out.n}, {a.x, a.out.k}, rows_now(a.run, a.rows),
                              shared);
}

// Computes   dw += du^T x, db += sum over rows of du; or the part of each split of the rows
// Shapes     du [rows, n], x [rows, k] bf16; dw [n, k], db [n], partial [splits, part_len(n, k)] f32
// Grid       tiles of [n, k], splits; Block 128; Shared memory 65536 (large), 32768 (small, odd)
// Alignment  large, small: dy, du, x and their rows 16 bytes; odd: none
// Aliasing   none
// Accumulates dw, db; writes partial instead if there are more splits than 1
// Deterministic: yes
// Called by  ops::linear::cuda::backward
extern "C" __global__ void __launch_bounds__(Large::THREADS, Large::BLOCKS)
    linear_bwd_dw_large_bf16(const __grid_constant__ LinearDw a) {
    backward_dw<Large, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    linear_bwd_dw_small_bf16(const __grid_constant__ LinearDw a) {
    backward_dw<Small, Fetch::Vectors>(a);
}
extern "C" __global__ void __launch_bounds__(Small::THREADS, Small::BLOCKS)
    linear_bwd_dw_odd_bf16(const __grid_constant__ LinearDw a) {
    backward_dw<Small, Fetch::Elements>(a);
}

// Computes   dw += sum of parts, db += sum of parts
// Shapes     as linear_bwd_dw
// Grid       part_len(n, k) / 1024; Block 256, 4 elements a thread; Shared memory 0
// Alignment  none; 16-byte accesses if dw and db are aligned to 16 bytes
// Aliasing   none
// Accumulates dw, db
// Deterministic: yes, in the order of the splits
// Called by  ops::linear::cuda::backward
extern "C" __global__ void __launch_bounds__(256) linear_bwd_dw_sum_f32(const __grid_constant__ SumParts a) {
    sum_parts(a);
}
