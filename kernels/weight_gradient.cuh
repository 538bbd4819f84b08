// dw += du^T x and db += sums of the rows of du, for linear and the tied decoder of masked_ce.
//
// Few tiles and a long sum: rows are split over blockIdx.y, each split writes its part to `partial`, sum_parts() adds
// them in order. One split adds into dw and db itself.
#pragma once

#include "gemm.cuh"

// Mirrors backend::cuda::gemm::WeightGradient.
struct WeightGradient {
    // [splits, part_len(n, k)] f32, 16-byte aligned, if there are more splits than 1.
    float* partial;
    // [n, k], [n].
    float* dw;
    float* db;
    uint32_t n, k;
};

// Floats of one split: dw, then db, each padded to 16 bytes.
__device__ inline uint64_t padded(uint64_t len) { return (len + 3) & ~uint64_t(3); }
__device__ inline uint64_t part_len(uint32_t n, uint32_t k) { return padded(uint64_t(n) * k) + padded(n); }

struct AddOrPut {
    float* out;
    uint32_t stride;
    bool add, wide;

    __device__ AddOrPut(float* out, uint32_t stride, bool add)
        : out(out), stride(stride), add(add), wide(aligned(out, stride)) {}
    __device__ void begin(uint32_t, int) {}
    __device__ void row(uint32_t row, uint32_t col, float (&v)[4], int count) {
        float* to = out + uint64_t(row) * stride + col;
        if (add) {
            float before[4];
            load(before, to, count, wide);
#pragma unroll
            for (int i = 0; i < 4; ++i) v[i] += before[i];
        }
        store(to, v, count, wide);
    }
};

// du: [rows, n], x: [rows, k].
template <class T, Fetch FETCH>
__device__ inline void weight_gradient(const WeightGradient& g, Operand du, Operand x, uint32_t rows, void* shared) {
    Extent e;
    if (!place_block<T>(e, g.n, g.k)) return;
    place_split(e, rows);
    bool sums = e.n0 == 0 && warp_col<T>() == 0;
    Accumulator<T> c;
    multiply<T, Along::Outer, Along::Outer, FETCH, true>(c, du, x, e, shared, sums);
    bool alone = gridDim.y == 1;
    float* part = g.partial + blockIdx.y * part_len(g.n, g.k);
    if (sums) {
        float* to = alone ? g.db : part + padded(uint64_t(g.n) * g.k);
        finish_sums(c, [&](uint32_t row, float sum) {
            row += e.m0 + warp_row<T>();
            if (row < e.m) to[row] = alone ? to[row] + sum : sum;
        });
    }
    AddOrPut out(alone ? g.dw : part, g.k, alone);
    finish<T, 4>(c, e, shared, out);
}

// Mirrors backend::cuda::gemm::SumParts.
struct SumParts {
    WeightGradient out;
    uint32_t splits;
};

// A thread adds 4 elements of dw or db.
__device__ inline void sum_parts(const SumParts& a) {
    const WeightGradient& g = a.out;
    uint64_t dw_len = uint64_t(g.n) * g.k, len = part_len(g.n, g.k);
    uint64_t at = (uint64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (at >= len) return;
    bool bias = at >= padded(dw_len);
    float* to = bias ? g.db + (at - padded(dw_len)) : g.dw + at;
    int count = min(uint64_t(4), bias ? padded(dw_len) + g.n - at : dw_len - at);
    bool wide = aligned(to, 4);
    float total[4];
    load(total, to, count, wide);
    for (uint32_t s = 0; s < a.splits; ++s) {
        float part[4];
        load(part, g.partial + s * len + at, count, true);
#pragma unroll
        for (int i = 0; i < 4; ++i) total[i] += part[i];
    }
    store(to, total, count, wide);
}
