// Pieces of rows: eight neighbouring columns a lane.
//
// `wide` says that all rows start on 16 bytes and have a multiple of 8 columns; else elements are taken singly.
#pragma once

#include "common.cuh"

// Columns of a lane, and of a warp.
constexpr int VEC = 8;
constexpr int SPAN = 32 * VEC;

// Columns i .. i + 8, zeros beyond `c`.
__device__ inline Vec8 fetch8(const bf16* row, uint32_t i, uint32_t c, bool wide) {
    if (wide) return *reinterpret_cast<const Vec8*>(row + i);
    const uint16_t* words = reinterpret_cast<const uint16_t*>(row);
    Vec8 v;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const uint32_t at = i + 2 * j, low = at < c ? words[at] : 0, high = at + 1 < c ? words[at + 1] : 0;
        v.pair[j] = high << 16 | low;
    }
    return v;
}

__device__ inline void put8(bf16* row, uint32_t i, uint32_t c, bool wide, Vec8 v) {
    if (wide) {
        *reinterpret_cast<Vec8*>(row + i) = v;
        return;
    }
    uint16_t* words = reinterpret_cast<uint16_t*>(row);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const uint32_t at = i + 2 * j;
        if (at < c) words[at] = uint16_t(v.pair[j]);
        if (at + 1 < c) words[at + 1] = uint16_t(v.pair[j] >> 16);
    }
}

__device__ inline void load8(const bf16* row, uint32_t i, uint32_t c, bool wide, float (&x)[8]) {
    unpack(fetch8(row, i, c, wide), x);
}

__device__ inline void store8(bf16* row, uint32_t i, uint32_t c, bool wide, const float (&x)[8]) {
    put8(row, i, c, wide, pack(x));
}

__device__ inline void load8(const float* row, uint32_t i, uint32_t c, bool wide, float (&x)[8]) {
    if (wide) {
        float4 a = *reinterpret_cast<const float4*>(row + i), b = *reinterpret_cast<const float4*>(row + i + 4);
        x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
        return;
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = i + j < c ? row[i + j] : 0.0f;
}

__device__ inline float4 operator+(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ inline float4 low4(const float (&x)[8]) { return make_float4(x[0], x[1], x[2], x[3]); }

__device__ inline float4 high4(const float (&x)[8]) { return make_float4(x[4], x[5], x[6], x[7]); }

// row[i .. i + 8] += x, for a whole warp whose lanes have neighbouring `i`; lanes beyond the row take part too.
//
// Eight floats are 32 bytes: the lanes of a pair swap halves, so that both accesses of the warp fill whole sectors.
__device__ inline void add8(float* row, uint32_t i, uint32_t c, bool wide, const float (&x)[8]) {
    if (!wide) {
#pragma unroll
        for (int j = 0; j < 8; ++j)
            if (i + j < c) row[i + j] += x[j];
        return;
    }
    const bool odd = i & VEC;
    float got[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) got[j] = __shfl_xor_sync(0xffffffffu, odd ? x[j] : x[4 + j], 1);
    const float4 other = make_float4(got[0], got[1], got[2], got[3]);
    const uint32_t at = odd ? i - 4 : i;
    float4* to = reinterpret_cast<float4*>(row + at);
    if (at < c) to[0] = to[0] + (odd ? other : low4(x));
    if (at + 8 < c) to[2] = to[2] + (odd ? high4(x) : other);
}

// Eight columns of each lane in a span of 256 floats that is only ever read back in the same way: without bank
// conflicts in shared memory, in whole sectors in global memory. Column 8 lane + j is float `span_place(8 lane + j)`.
__device__ inline void span_store(float* span, uint32_t lane, const float (&x)[8]) {
    float4* to = reinterpret_cast<float4*>(span);
    to[lane] = low4(x);
    to[32 + lane] = high4(x);
}

__device__ inline void span_load(const float* span, uint32_t lane, float (&x)[8]) {
    const float4* from = reinterpret_cast<const float4*>(span);
    float4 a = from[lane], b = from[32 + lane];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

__device__ inline uint32_t span_place(uint32_t column) {
    return (column & ~255u) | (column & 4) << 5 | (column & 0xf8) >> 1 | (column & 3);
}

// The column that lies at `place`.
__device__ inline uint32_t span_column(uint32_t place) {
    return (place & ~255u) | (place & 0x7c) << 1 | (place & 0x80) >> 5 | (place & 3);
}
