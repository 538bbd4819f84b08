// Attention over packed segments, forward and backward, on tensor cores; scores are never stored.
//
// A block owns some rows of one head of one segment and goes over all rows of the segment on the other side, tile by
// tile through two buffers in shared memory. A warp owns 16 or 32 of the block's rows: scores stay in its registers,
// where the accumulators of one product are the left operand of the next.
//
// In the backward pass each of two kernels computes the scores again, one for the sums over keys and one for the sums over
// queries: two products more than a single kernel with float atomics, and the same bits every time.
#include "attention.cuh"

#include <type_traits>

namespace attention {

// One list of tiles to make.
struct List {
    // Offsets of the segments on this and on the other side.
    const uint32_t* own;
    const uint32_t* other;
    Tiles* tiles;
    // Rows of this side; those outside all segments get tiles without others if `gaps`.
    Rows rows;
    uint32_t tile_rows;
    uint32_t gaps;
};

struct TilesArgs {
    const Run* run;
    List lists[2];
    Rows segments;
};

struct ForwardArgs {
    const Tiles* tiles;
    const bf16* q;
    const bf16* kv;
    bf16* out;
    float* lse;
    uint32_t heads;
    // Of the scores, for powers of 2.
    float scale2;
};

struct BackwardArgs {
    const Tiles* tiles;
    const bf16* q;
    const bf16* kv;
    const bf16* out;
    const float* lse;
    const bf16* dout;
    // Of dq: [rows, C], of dkv: [rows, 2C].
    bf16* grad;
    // [heads, q_cap]: lse in units of log 2, and delta = dot(dout, out). Written by dq, read by dkv.
    float2* stats;
    uint32_t q_cap;
    uint32_t heads;
    // Of the scores, and times log2(e).
    float scale, scale2;
};

// Blocks of 16 rows that a warp owns (M), rows of a tile of the other side (INNER), how many blocks of 16 of them are
// multiplied at a time (N), and whether left operands stay in registers (HELD). Mirrored in ops::attention::cuda.
//
// What is loaded from shared memory serves M products, and shared memory is what bounds M = 1: 2 where registers allow it.
// sm_75 has 64 KiB for a block: there the buffers of dkv are half as large.
template <int M_, int INNER_, int N_, bool HELD_ = true>
struct Tiling {
    static constexpr int M = M_, INNER = INNER_, N = N_;
    static constexpr bool HELD = HELD_;
};

template <int D>
struct Tilings;
template <>
struct Tilings<32> {
    using Forward = Tiling<2, 64, 4>;
    using Dq = Tiling<2, 64, 1>;
    using Dkv = Tiling<2, TENSOR_CORES ? 64 : 32, CROWDED ? 1 : 2>;
};
template <>
struct Tilings<64> {
    using Forward = Tiling<2, 64, 4>;
    using Dq = Tiling<2, 64, 1>;
    using Dkv = Tiling<2, TENSOR_CORES ? 64 : 32, 1>;
};
template <>
struct Tilings<128> {
    using Forward = Tiling<2, 32, 2, false>;
    using Dq = Tiling<1, 32, 2>;
    using Dkv = Tiling<1, TENSOR_CORES ? 32 : 16, 1>;
};

// Classes of tiles by how many others they have.
constexpr uint32_t CLASSES = 64;
constexpr uint32_t CLASS_ROWS = 64;

__device__ inline uint32_t cost_class(uint32_t others) {
    return CLASSES - 1 - min((others + CLASS_ROWS - 1) / CLASS_ROWS, CLASSES - 1);
}

// Rows of a segment; after the segments come the rows before the first and behind the last.
__device__ inline Tile segment(const List& list, uint32_t segments, uint32_t rows, uint32_t s) {
    if (s < segments) {
        uint32_t first = list.own[s], other = list.other[s];
        return {first, list.own[s + 1] - first, other, list.other[s + 1] - other};
    }
    if (s == segments) return {0, list.own[0], 0, 0};
    uint32_t last = list.own[segments];
    return {last, rows - last, 0, 0};
}

// Moves the place in `next` of each lane's class on by its count; returns the place before. Segments are often of one
// class, whose atomics would follow each other: a warp has one for each class.
__device__ inline uint32_t take(uint32_t* next, uint32_t cls, uint32_t count) {
    const uint32_t lane = threadIdx.x % 32, peers = __match_any_sync(0xffffffffu, cls), leader = __ffs(peers) - 1;
    uint32_t before = 0, all = 0;
#pragma unroll
    for (uint32_t other = 0; other < 32; ++other) {
        const uint32_t its = __shfl_sync(0xffffffffu, count, other);
        if (peers >> other & 1) all += its, before += other < lane ? its : 0;
    }
    uint32_t place = 0;
    if (lane == leader && all > 0) place = atomicAdd(&next[cls], all);
    return __shfl_sync(0xffffffffu, place, leader) + before;
}

// Blocks of tiles() for each multiprocessor; 0 leaves it to the compiler, which wants so many on sm_86 and sm_89 that it spills.
#if __CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890
constexpr int TILES_BLOCKS = 1;
#else
constexpr int TILES_BLOCKS = 0;
#endif

__device__ inline void tiles(const TilesArgs& a) {
    __shared__ alignas(8) uint32_t next[CLASSES];
    const List list = blockIdx.x == 0 ? a.lists[0] : a.lists[1];
    uint32_t segments = rows_now(a.run, a.segments), rows = rows_now(a.run, list.rows);
    uint32_t parts = segments + (list.gaps ? 2 : 0);
    const uint32_t lane = threadIdx.x % 32;
    auto part = [&](uint32_t s) { return s < parts ? segment(list, segments, rows, s) : Tile{0, 0, 0, 0}; };
    auto pieces = [&](const Tile& t) { return (t.rows + list.tile_rows - 1) / list.tile_rows; };
    if (threadIdx.x < CLASSES) next[threadIdx.x] = 0;
    __syncthreads();
    for (uint32_t s = threadIdx.x; s - lane < parts; s += blockDim.x) {
        const Tile t = part(s);
        take(next, cost_class(t.others), pieces(t));
    }
    __syncthreads();
    // Where each class begins: a sum over the classes before it, two classes a lane.
    if (threadIdx.x < 32) {
        static_assert(CLASSES == 64);
        uint2& mine = reinterpret_cast<uint2*>(next)[lane];
        const uint2 count = mine;
        uint32_t sum = count.x + count.y;
#pragma unroll
        for (int d = 1; d < 32; d *= 2) {
            const uint32_t before = __shfl_up_sync(0xffffffffu, sum, d);
            if (lane >= d) sum += before;
        }
        mine = make_uint2(sum - count.y - count.x, sum - count.y);
        if (lane == 31) list.tiles->count = sum;
    }
    __syncthreads();
    for (uint32_t s = threadIdx.x; s - lane < parts; s += blockDim.x) {
        const Tile t = part(s);
        const uint32_t count = pieces(t), at = take(next, cost_class(t.others), count);
        for (uint32_t i = 0; i < count; ++i) {
            uint32_t skip = i * list.tile_rows;
            list.tiles->tile[at + i] = {t.first + skip, min(t.rows - skip, list.tile_rows), t.other, t.others};
        }
    }
}

template <int D>
__device__ inline void forward(const ForwardArgs& a) {
    using T = typename Tilings<D>::Forward;
    constexpr int M = T::M, N = T::N, INNER = T::INNER;
    constexpr uint32_t ROWS = WARPS * 16 * M, BYTES = INNER * 2 * D, STAGE = 2 * BYTES;
    static_assert(INNER == 16 * N);
    extern __shared__ __align__(256) uint8_t shared[];
    const Tile tile = my_tile(a.tiles);
    const uint32_t head = blockIdx.x;
    if (tile.rows == 0) return;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t c = a.heads * D;
    bf16* out = a.out + uint64_t(tile.first) * c + head * D;
    float* lse = a.lse + uint64_t(tile.first) * a.heads + head;
    if (tile.others == 0) {
        store_zeros<D>(out, c, tile.rows);
        if (threadIdx.x < tile.rows) lse[threadIdx.x * a.heads] = -INFINITY;
        return;
    }
    const uint32_t queries = shared_address(shared), stages = queries + ROWS * 2 * D;
    const bf16* keys = a.kv + uint64_t(tile.other) * 2 * c + head * D;
    auto load = [&](uint32_t j) {
        uint32_t stage = stages + (j & 1) * STAGE, skip = j * INNER;
        const bf16* from = keys + uint64_t(skip) * 2 * c;
        load_tile<D, INNER>(stage, from, 2 * c, tile.others - skip);
        load_tile<D, INNER>(stage + BYTES, from + c, 2 * c, tile.others - skip);
        cp_async_commit();
    };
    load_tile<D, ROWS>(queries, a.q + uint64_t(tile.first) * c + head * D, c, tile.rows);
    load(0);
    cp_async_wait<0>();
    __syncthreads();

    const uint32_t first = warp * 16 * M;
    const bool active = first < tile.rows;
    Left<D, M, T::HELD> q;
    q.start(lane_address<D>(queries + first * 2 * D));
    float acc[M][D / 8][4], peak[M][2], sum[M][2];
    zero<D, M>(acc);
#pragma unroll
    for (int m = 0; m < M; ++m) {
        peak[m][0] = peak[m][1] = -INFINITY;
        sum[m][0] = sum[m][1] = 0.0f;
    }
    auto step = [&](auto partial, uint32_t j) {
        constexpr bool PARTIAL = decltype(partial)::value;
        const uint32_t stage = stages + (j & 1) * STAGE;
        const uint32_t left = tile.others - j * INNER, thread = again_if_crowded(threadIdx.x);
        float s[M][2 * N][4];
        scores<PARTIAL, D, M, 2 * N>(s, q, lane_address_right<D>(stage, thread), (left + 7) / 8);
        if (PARTIAL) {
#pragma unroll
            for (int n = 0; n < 2 * N; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    if (8 * n + thread % 4 * 2 + i % 2 >= left)
#pragma unroll
                        for (int m = 0; m < M; ++m) s[m][n][i] = -INFINITY;
        }
        uint32_t p[N][M][4];
#pragma unroll
        for (int m = 0; m < M; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float top = s[m][0][2 * half];
#pragma unroll
                for (int n = 0; n < 2 * N; ++n) top = fmaxf(top, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
                top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
                top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
                top = fmaxf(peak[m][half], top * a.scale2);
                const float shrink = exp2_fast(peak[m][half] - top);
                peak[m][half] = top;
                sum[m][half] *= shrink;
#pragma unroll
                for (int n = 0; n < 2 * N; ++n)
#pragma unroll
                    for (int i = 2 * half; i < 2 * half + 2; ++i) {
                        s[m][n][i] = exp2_fast(s[m][n][i] * a.scale2 - top);
                        sum[m][half] += s[m][n][i];
                    }
#pragma unroll
                for (int n = 0; n < D / 8; ++n) {
                    acc[m][n][2 * half] *= shrink;
                    acc[m][n][2 * half + 1] *= shrink;
                }
            }
#pragma unroll
            for (int n = 0; n < 2 * N; ++n) as_left(p[n / 2][m], n, s[m][n]);
        }
        accumulate<PARTIAL, D, M, N>(acc, p, lane_address<D>(stage + BYTES, thread), (left + 15) / 16);
    };
    uint32_t j = 0;
    for (; (j + 1) * INNER <= tile.others; ++j) {
        if ((j + 1) * INNER < tile.others) load(j + 1);
        if (active) step(std::false_type(), j);
        cp_async_wait<0>();
        __syncthreads();
    }
    if (!active) return;
    if (j * INNER < tile.others) step(std::true_type(), j);

    const uint32_t valid = tile.rows - first;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float total = sum[m][half];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            sum[m][half] = 1.0f / total;
            const uint32_t row = 16 * m + 8 * half + lane / 4;
            if (lane % 4 == 0 && row < valid)
                lse[uint64_t(first + row) * a.heads] = (peak[m][half] + log2f(total)) * LN2;
        }
    store_rows<D, M>(out + uint64_t(first) * c, c, valid, acc, sum);
}

template <int D>
__device__ inline void backward_dq(const BackwardArgs& a) {
    using T = typename Tilings<D>::Dq;
    constexpr int M = T::M, N = T::N, INNER = T::INNER;
    constexpr uint32_t ROWS = WARPS * 16 * M, FIXED = ROWS * 2 * D, BYTES = INNER * 2 * D, STAGE = 2 * BYTES;
    // The second stage holds `out` before the loop.
    static_assert(STAGE >= FIXED);
    extern __shared__ __align__(256) uint8_t shared[];
    const Tile tile = my_tile(a.tiles);
    const uint32_t head = blockIdx.x;
    if (tile.rows == 0) return;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t c = a.heads * D;
    const uint64_t at = uint64_t(tile.first) * c + head * D;
    if (tile.others == 0) return store_zeros<D>(a.grad + at, c, tile.rows);

    const uint32_t fixed = shared_address(shared), stages = fixed + 2 * FIXED;
    const bf16* keys = a.kv + uint64_t(tile.other) * 2 * c + head * D;
    auto load = [&](uint32_t j) {
        uint32_t stage = stages + (j & 1) * STAGE, skip = j * INNER;
        const bf16* from = keys + uint64_t(skip) * 2 * c;
        load_tile<D, INNER>(stage, from, 2 * c, tile.others - skip);
        load_tile<D, INNER>(stage + BYTES, from + c, 2 * c, tile.others - skip);
        cp_async_commit();
    };
    load_tile<D, ROWS>(fixed, a.q + at, c, tile.rows);
    load_tile<D, ROWS>(fixed + FIXED, a.dout + at, c, tile.rows);
    load_tile<D, ROWS>(stages + STAGE, a.out + at, c, tile.rows);
    load(0);
    cp_async_wait<0>();
    __syncthreads();

    const uint32_t first = warp * 16 * M;
    const bool active = first < tile.rows;
    const uint32_t valid = active ? tile.rows - first : 0;
    Left<D, M, T::HELD> q, dout;
    q.start(lane_address<D>(fixed + first * 2 * D));
    dout.start(lane_address<D>(fixed + FIXED + first * 2 * D));
    float delta[M][2] = {}, lse[M][2];
    Left<D, M, false> out;
    out.start(lane_address<D>(stages + STAGE + first * 2 * D));
#pragma unroll
    for (int k = 0; k < D / 16; ++k) {
        uint32_t x[M][4], y[M][4];
        out.get(x, k);
        dout.get(y, k);
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                float2 f = __bfloat1622float2(*reinterpret_cast<bf162*>(&x[m][i]));
                float2 g = __bfloat1622float2(*reinterpret_cast<bf162*>(&y[m][i]));
                delta[m][i % 2] += f.x * g.x + f.y * g.y;
            }
    }
    const uint64_t stat = uint64_t(head) * a.q_cap + tile.first + first;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            delta[m][half] += __shfl_xor_sync(0xffffffffu, delta[m][half], 1);
            delta[m][half] += __shfl_xor_sync(0xffffffffu, delta[m][half], 2);
            const uint32_t row = 16 * m + 8 * half + lane / 4;
            lse[m][half] = INFINITY;
            if (row < valid) {
                lse[m][half] = a.lse[uint64_t(tile.first + first + row) * a.heads + head] * LOG2E;
                if (lane % 4 == 0) a.stats[stat + row] = make_float2(lse[m][half], delta[m][half]);
            }
        }
    // All have read `out` before the next tile takes its place.
    __syncthreads();

    float acc[M][D / 8][4];
    zero<D, M>(acc);
    auto step = [&](auto partial, uint32_t j) {
        constexpr bool PARTIAL = decltype(partial)::value;
        const uint32_t stage = stages + (j & 1) * STAGE;
        const uint32_t left = tile.others - j * INNER;
#pragma unroll 1
        for (uint32_t skip = 0; skip < INNER; skip += 16 * N) {
            if (PARTIAL && skip >= left) break;
            const uint32_t right = lane_address_right<D>(stage) + skip * 2 * D;
            uint32_t ds[N][M][4];
#pragma unroll
            for (int n = 0; n < 2 * N; ++n) {
                float s[M][1][4], dp[M][1][4];
                scores<false, D, M, 1>(s, q, right + 16 * D * n);
                scores<false, D, M, 1>(dp, dout, right + 16 * D * n + BYTES);
#pragma unroll
                for (int m = 0; m < M; ++m) {
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        float p = exp2_fast(s[m][0][i] * a.scale2 - lse[m][i / 2]);
                        if (PARTIAL && skip + 8 * n + lane % 4 * 2 + i % 2 >= left) p = 0.0f;
                        s[m][0][i] = p * (dp[m][0][i] - delta[m][i / 2]);
                    }
                    as_left(ds[n / 2][m], n, s[m][0]);
                }
            }
            accumulate<false, D, M, N>(acc, ds, lane_address<D>(stage) + skip * 2 * D);
        }
    };
    uint32_t j = 0;
    for (; (j + 1) * INNER <= tile.others; ++j) {
        if ((j + 1) * INNER < tile.others) load(j + 1);
        if (active) step(std::false_type(), j);
        cp_async_wait<0>();
        __syncthreads();
    }
    if (!active) return;
    if (j * INNER < tile.others) step(std::true_type(), j);
    float factor[M][2];
#pragma unroll
    for (int m = 0; m < M; ++m) factor[m][0] = factor[m][1] = a.scale;
    store_rows<D, M>(a.grad + at + uint64_t(first) * c, c, valid, acc, factor);
}

template <int D>
__device__ inline void backward_dkv(const BackwardArgs& a) {
    using T = typename Tilings<D>::Dkv;
    constexpr int M = T::M, N = T::N, INNER = T::INNER;
    constexpr uint32_t ROWS = WARPS * 16 * M, FIXED = ROWS * 2 * D, BYTES = INNER * 2 * D, STAGE = 2 * BYTES;
    extern __shared__ __align__(256) uint8_t shared[];
    const Tile tile = my_tile(a.tiles);
    const uint32_t head = blockIdx.x;
    if (tile.rows == 0) return;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t c = a.heads * D;
    const uint64_t at = uint64_t(tile.first) * 2 * c + head * D;
    if (tile.others == 0) {
        store_zeros<D>(a.grad + at, 2 * c, tile.rows);
        store_zeros<D>(a.grad + at + c, 2 * c, tile.rows);
        return;
    }
    const uint32_t fixed = shared_address(shared), stages = fixed + 2 * FIXED;
    float2* stats = reinterpret_cast<float2*>(shared + 2 * FIXED + 2 * STAGE);
    auto load = [&](uint32_t j) {
        uint32_t stage = stages + (j & 1) * STAGE, skip = j * INNER, left = tile.others - skip;
        const uint32_t row = again(tile.other) + skip;
        const uint64_t from = uint64_t(row) * c + head * D;
        load_tile<D, INNER>(stage, a.q + from, c, left);
        load_tile<D, INNER>(stage + BYTES, a.dout + from, c, left);
        const uint32_t thread = again(threadIdx.x);
        if (thread < INNER) {
            float2* to = stats + (j & 1) * INNER + thread;
            if (thread < left) cp_async8(shared_address(to), a.stats + uint64_t(head) * a.q_cap + row + thread);
            // Probability 0 for rows that are not there.
            else *to = make_float2(INFINITY, 0.0f);
        }
        cp_async_commit();
    };
    load_tile<D, ROWS>(fixed, a.kv + at, 2 * c, tile.rows);
    load_tile<D, ROWS>(fixed + FIXED, a.kv + at + c, 2 * c, tile.rows);
    load(0);
    cp_async_wait<0>();
    __syncthreads();

    const uint32_t first = warp * 16 * M;
    const bool active = first < tile.rows;
    Left<D, M, T::HELD> k, v;
    k.start(lane_address<D>(fixed + first * 2 * D));
    v.start(lane_address<D>(fixed + FIXED + first * 2 * D));
    float dk[M][D / 8][4], dv[M][D / 8][4];
    zero<D, M>(dk);
    zero<D, M>(dv);
    for (uint32_t j = 0; j * INNER < tile.others; ++j) {
        if ((j + 1) * INNER < tile.others) load(j + 1);
        const uint32_t stage = stages + (j & 1) * STAGE;
        const uint32_t left = active ? tile.others - j * INNER : 0, thread = again_if_crowded(threadIdx.x);
#pragma unroll
        for (uint32_t skip = 0; skip < INNER; skip += 16 * N) {
            if (skip >= left) break;
            const uint32_t right = lane_address_right<D>(stage, thread) + skip * 2 * D;
            const uint32_t turned = lane_address<D>(stage, thread) + skip * 2 * D;
            uint32_t p[N][M][4], ds[N][M][4];
#pragma unroll
            for (int n = 0; n < 2 * N; ++n) {
                float s[M][1][4], dp[M][1][4];
                scores<false, D, M, 1>(s, k, right + 16 * D * n);
                scores<false, D, M, 1>(dp, v, right + 16 * D * n + BYTES);
                // lse and delta of the two queries whose columns this lane has.
                const float2* pair = stats + (j & 1) * INNER + skip + 8 * n + again_if_crowded(lane) % 4 * 2;
                const float4 of = *reinterpret_cast<const float4*>(pair);
#pragma unroll
                for (int m = 0; m < M; ++m) {
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        s[m][0][i] = exp2_fast(s[m][0][i] * a.scale2 - (i % 2 ? of.z : of.x));
                        dp[m][0][i] = s[m][0][i] * (dp[m][0][i] - (i % 2 ? of.w : of.y));
                    }
                    as_left(p[n / 2][m], n, s[m][0]);
                    as_left(ds[n / 2][m], n, dp[m][0]);
                }
            }
            accumulate<false, D, M, N>(dv, p, turned + BYTES);
            accumulate<false, D, M, N>(dk, ds, turned);
        }
        cp_async_wait<0>();
        __syncthreads();
    }
    // Read again, rather than kept over the loop.
    const Tile done = my_tile(a.tiles);
    const uint32_t row = again(threadIdx.x) / 32 * 16 * M;
    if (row >= done.rows) return;
    float of_k[M][2], of_v[M][2];
#pragma unroll
    for (int m = 0; m < M; ++m) {
        of_k[m][0] = of_k[m][1] = a.scale;
        of_v[m][0] = of_v[m][1] = 1.0f;
    }
    bf16* to = a.grad + uint64_t(done.first + row) * 2 * c + head * D;
    store_rows<D, M>(to, 2 * c, done.rows - row, dk, of_k);
    store_rows<D, M>(to + c, 2 * c, done.rows - row, dv, of_v);
}

}  // namespace attention

using namespace attention;

// Computes:      the tiles of each list: (segment, first row) in pieces of tile_rows rows, those with most others first
// Shapes:        own, other: [segments + 1] u32, ascending; tiles: room for rows / tile_rows + segments + 2
// Grid, Block:   a block of 256 threads for each list
// Shared memory: 256 bytes
// Alignment:     16 bytes (tiles)
// Aliasing:      none
// Writes:        tiles
// Deterministic: but for the order of tiles with as many others, on which no result depends
// Called by:     ops::attention::cuda::{forward, backward}
extern "C" __global__ void __launch_bounds__(256, TILES_BLOCKS) attention_tiles(const TilesArgs a) { tiles(a); }

// Computes:      out = softmax(scale q k^T) v of each segment and head; lse = log of the sum of exponentiated scores
// Shapes:        q, out: [q_rows, C] bf16; kv: [k_rows, 2C] bf16, keys then values; lse: [q_rows, heads] f32
// Grid, Block:   (heads, tiles at most) blocks of 4 warps, a warp 32 rows; blocks beyond the last tile leave
// Shared memory: (128 + 4 INNER) rows of D bf16: queries, two stages of keys and values
// Alignment:     16 bytes
// Aliasing:      none
// Writes:        rows of segments in out, lse
// Deterministic: yes
// Called by:     ops::attention::cuda::forward
extern "C" __global__ void __launch_bounds__(THREADS, 3) attention_fwd_d32_bf16(const ForwardArgs a) {
    forward<32>(a);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_fwd_d64_bf16(const ForwardArgs a) {
    forward<64>(a);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_fwd_d128_bf16(const ForwardArgs a) {
    forward<128>(a);
}

// Computes:      dq = scale ds k, ds = p (dout v^T - delta), p = exp(scale q k^T - lse), delta = dot(dout, out); stats
// Shapes:        q, out, dout, grad (dq): [q_rows, C] bf16; kv: [k_rows, 2C] bf16; lse: [q_rows, heads] f32;
//                stats: [heads, q_cap] of lse in units of log 2 and delta
// Grid, Block:   (heads, tiles at most) blocks of 4 warps, a warp 16 M rows of queries
// Shared memory: (2 ROWS + 4 INNER) rows of D bf16: q, dout, two stages of keys and values
// Alignment:     16 bytes
// Aliasing:      none
// Writes:        all rows of dq, stats of segments with keys
// Deterministic: yes, each sum has one order
// Called by:     ops::attention::cuda::backward
extern "C" __global__ void __launch_bounds__(THREADS, 3) attention_bwd_dq_d32_bf16(const BackwardArgs a) {
    backward_dq<32>(a);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_bwd_dq_d64_bf16(const BackwardArgs a) {
    backward_dq<64>(a);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_bwd_dq_d128_bf16(const BackwardArgs a) {
    backward_dq<128>(a);
}

// Computes:      dk = scale ds^T q and dv = p^T dout, with p and ds as above
// Shapes:        q, dout: [q_rows, C] bf16; kv, grad (dkv): [k_rows, 2C] bf16; stats: [heads, q_cap] as above
// Grid, Block:   (heads, tiles at most) blocks of 4 warps, a warp 16 M rows of keys
// Shared memory: (2 ROWS + 4 INNER) rows of D bf16 and 2 INNER stats: k, v, two stages of q, dout, stats
// Alignment:     16 bytes
// Aliasing:      none
// Writes:        all rows of dkv
// Deterministic: yes, each sum has one order
// Called by:     ops::attention::cuda::backward, after dq
extern "C" __global__ void __launch_bounds__(THREADS, 3) attention_bwd_dkv_d32_bf16(const BackwardArgs a) {
    backward_dkv<32>(a);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_bwd_dkv_d64_bf16(const BackwardArgs a) {
    backward_dkv<64>(a);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_bwd_dkv_d128_bf16(const BackwardArgs a) {
    backward_dkv<128>(a);
}
