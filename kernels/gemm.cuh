// The tensor-core matrix product that linear and masked_ce are built on: C = A B^T in f32, bf16 operands.
//
//   A is [m, k] or [k, m], B is [n, k] or [k, n], row-major; m, n, k are any sizes.
//   A block forms one tile of C. Per step of 32 along k: asynchronous copies bring the tiles of A and B
//   into one of STAGES places in shared memory, ldmatrix takes them to fragments (transposed where the
//   operand lies along m or n), mma.sync m16n8k16 multiplies. The fragments of the next half step are
//   loaded before the current ones are multiplied. One barrier a step.
//   Then the block either works on the accumulators in registers, or, by finish(), passes them
//   through shared memory to an epilogue that sees neighbours of a row: 16-byte accesses, one draw of
//   dropout for 4 elements.
//
// The rest of a tile that hangs over an edge along k is filled with zeros. Along m and n the last row or
// 16 bytes inside are read again: what they give is never stored.
#pragma once

#include "mma.cuh"

// What a block and each of its warps computes.
template <int BM_, int BN_, int WM_, int WN_, int STAGES_, int BLOCKS_>
struct Tile {
    static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr int BK = 32;
    // Blocks a multiprocessor should hold.
    static constexpr int BLOCKS = BLOCKS_;
    static constexpr int WARPS_M = BM / WM, THREADS = BM / WM * (BN / WN) * 32;
    static constexpr int STAGE_BYTES = (BM + BN) * BK * 2;
    static constexpr int BYTES = STAGES * STAGE_BYTES;
    static_assert(BM * BN * 4 <= BYTES, "the accumulators pass through the memory of the stages");
};
// Mirrored by backend::cuda::gemm::Tile.
using Large = Tile<128, 128, 64, 64, 4, 2>;
using Small = Tile<64, 64, 32, 32, 4, 4>;

// Which dimension an operand's rows run along.
enum class Along { K, Outer };

// How a tile is brought in: 16 bytes at once, or element by element because rows are not aligned to 16 bytes.
enum class Fetch { Vectors, Elements };

// 2^x and 1 / x to 2 and 1 units in the last place, without denormals.
__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// An operand in global memory. Where rows run along m or n and Fetch is Vectors, rows of a length that is not a
// multiple of 8 must be padded to it.
struct Operand {
    const bf16* data;
    // Elements from row to row.
    uint32_t stride;
};

// One operand of a block: its way from global memory to shared memory to fragments. OUTER is the block's extent
// along m or n, WARP a warp's.
//
// A tile in shared memory has rows of 64 bytes (along k) or 128 or 256 (along m or n). The 16 bytes number c of
// row r lie at place c ^ (r / 2 % 4), or c ^ (r % 8): any 8 rows of an ldmatrix are in different banks.
template <Along ALONG, Fetch FETCH, int OUTER, int WARP, int BK, int THREADS>
struct Side {
    static constexpr bool ALONG_K = ALONG == Along::K;
    static constexpr int ROWS = ALONG_K ? OUTER : BK, COLS = ALONG_K ? BK : OUTER;
    static constexpr int ROW_BYTES = COLS * 2, ROW_CHUNKS = COLS / 8;
    // Rows that the block's threads cover at once; a thread brings one chunk of each LOADS-th.
    static constexpr int STEP = THREADS / ROW_CHUNKS, LOADS = ROWS / STEP;

    // Where the tile of this step begins, and how many elements along k lie beyond this thread's first chunk.
    const bf16* next;
    int left;
    uint32_t offset[LOADS];
    uint32_t stride;
    // Elements of a chunk of this thread that exist along m or n, for Fetch::Elements.
    int width;
    uint32_t store, fragment;

    __device__ static uint32_t place(uint32_t row, uint32_t chunk) {
        uint32_t mask = ROW_CHUNKS >= 8 ? row & 7 : row >> 1 & 3;
        return row * ROW_BYTES + ((chunk ^ mask) << 4);
    }

    // `outer0` of `outers` is the tile's first row along m or n, `first` its place along m or n within the block of
    // the warp's part, `half_outer` and `half_k` say which 8x8 quarter of a 16x16 piece the lane's row belongs to.
    __device__ Side(Operand from, uint32_t outer0, uint32_t outers, uint32_t k0, uint32_t k1, uint32_t first,
                    uint32_t half_outer, uint32_t half_k)
        : stride(from.stride) {
        uint32_t chunk = threadIdx.x % ROW_CHUNKS, row = threadIdx.x / ROW_CHUNKS, lane = threadIdx.x & 7;
        store = place(row, chunk);
        uint32_t rest = outers - outer0;
        if constexpr (ALONG_K) {
            next = from.data + uint64_t(outer0) * stride + k0;
            left = int(k1 - k0) - int(chunk * 8);
            width = 8;
#pragma unroll
            for (int i = 0; i < LOADS; ++i) offset[i] = min(row + i * STEP, rest - 1) * stride + chunk * 8;
            fragment = place(first + half_outer * 8 + lane, half_k);
        } else {
            next = from.data + uint64_t(k0) * stride + outer0;
            left = int(k1 - k0) - int(row);
            width = int(rest) - int(chunk * 8);
            uint32_t col = FETCH == Fetch::Vectors ? min(chunk * 8, ((rest + 7) & ~7u) - 8) : chunk * 8;
#pragma unroll
            for (int i = 0; i < LOADS; ++i) offset[i] = (row + i * STEP) * stride + col;
            fragment = place(half_k * 8 + lane, first / 8 + half_outer);
        }
    }

    // Begins to bring the next tile to `to`. Beyond the end along k it is zeros.
    __device__ void fetch(uint32_t to) {
#pragma unroll
        for (int i = 0; i < LOADS; ++i) {
            uint32_t at = to + store + i * STEP * ROW_BYTES;
            if constexpr (FETCH == Fetch::Vectors) {
                cp_async16(at, next + offset[i], left > (ALONG_K ? 0 : i * STEP));
            } else {
                int count = ALONG_K ? left : left > i * STEP ? width : 0;
                const bf16* from = next + offset[i];
                uint32_t v[4];
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    bf16 low = 2 * j < count ? from[2 * j] : bf16(0.0f);
                    bf16 high = 2 * j + 1 < count ? from[2 * j + 1] : bf16(0.0f);
                    v[j] = uint32_t(__bfloat16_as_ushort(low)) | uint32_t(__bfloat16_as_ushort(high)) << 16;
                }
                asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(v[0]), "r"(v[1]), "r"(v[2]),
                             "r"(v[3])
                             : "memory");
            }
        }
        next += ALONG_K ? uint64_t(BK) : uint64_t(BK) * stride;
        left -= BK;
    }

    // Fragments of half step `half` of the tile at `from`.
    __device__ void fragments(uint32_t (&f)[WARP / 16][4], uint32_t from, int half) const {
        uint32_t at = from + fragment;
#pragma unroll
        for (int i = 0; i < WARP / 16; ++i) {
            if constexpr (ALONG_K) {
                ldmatrix_x4(f[i], (at ^ half * 32) + i * 16 * ROW_BYTES);
            } else {
                ldmatrix_x4_trans(f[i], (at ^ i * 32) + half * 16 * ROW_BYTES);
            }
        }
    }
};

// The accumulators of one warp: piece (i, j) of 16x8 is v[i][j], in the order of mma.sync.
template <class T>
struct Accumulator {
    float v[T::WM / 16][T::WN / 8][4];
    // Sums of A along k, where asked for: column i has those of piece i of 16 rows.
    float sums[4];
};

__device__ inline uint32_t warp_of_block() { return threadIdx.x >> 5; }

// First row and column of the warp's part of its block's tile.
template <class T>
__device__ inline uint32_t warp_row() {
    return warp_of_block() % T::WARPS_M * T::WM;
}
template <class T>
__device__ inline uint32_t warp_col() {
    return warp_of_block() / T::WARPS_M * T::WN;
}

// Sizes and place of a block's product: rows m0 .. and columns n0 .. of C, along k0 .. k1.
struct Extent {
    uint32_t m, n;
    uint32_t m0, n0;
    uint32_t k0, k1;
};

// Which tile this block computes; false if there is none left for it. Tiles are numbered so that blocks that run
// at the same time share rows of A and of B.
template <class T>
__device__ inline bool place_block(Extent& e, uint32_t m, uint32_t n) {
    constexpr uint32_t GROUP = 8;
    uint32_t tiles_m = (m + T::BM - 1) / T::BM, tiles_n = (n + T::BN - 1) / T::BN;
    if (blockIdx.x >= tiles_m * tiles_n) return false;
    uint32_t group = blockIdx.x / (GROUP * tiles_n), within = blockIdx.x % (GROUP * tiles_n);
    uint32_t height = min(GROUP, tiles_m - group * GROUP);
    e.m = m;
    e.n = n;
    e.m0 = (group * GROUP + within % height) * T::BM;
    e.n0 = within / height * T::BN;
    return true;
}

// The part along k of split number blockIdx.y of gridDim.y.
__device__ inline void place_split(Extent& e, uint32_t k) {
    uint32_t steps = (k + Large::BK - 1) / Large::BK;
    e.k0 = uint64_t(steps) * blockIdx.y / gridDim.y * Large::BK;
    e.k1 = min(k, uint32_t(uint64_t(steps) * (blockIdx.y + 1) / gridDim.y * Large::BK));
}

// C of the block's tile; also sums of A along k if `sums`. `shared` has T::BYTES bytes, aligned to 128.
template <class T, Along ALONG_A, Along ALONG_B, Fetch FETCH, bool SUMS = false>
__device__ inline void multiply(Accumulator<T>& c, Operand a, Operand b, const Extent& e, const void* shared,
                                bool sums = false) {
    constexpr int HALVES = T::BK / 16;
    uint32_t lane = threadIdx.x & 31, low = lane >> 3 & 1, high = lane >> 4;
    Side<ALONG_A, FETCH, T::BM, T::WM, T::BK, T::THREADS> left(a, e.m0, e.m, e.k0, e.k1, warp_row<T>(), low, high);
    Side<ALONG_B, FETCH, T::BN, T::WN, T::BK, T::THREADS> right(b, e.n0, e.n, e.k0, e.k1, warp_col<T>(), high, low);
    const uint32_t begin = shared_address(shared), end = begin + T::BYTES;
    constexpr uint32_t B = T::BM * T::BK * 2;
    int steps = int(e.k1 - e.k0 + T::BK - 1) / T::BK;

    uint32_t to = begin;
    auto bring = [&] {
        left.fetch(to);
        right.fetch(to + B);
        cp_async_commit();
        to += T::STAGE_BYTES;
        if (to == end) to = begin;
    };
#pragma unroll
    for (int i = 0; i < T::STAGES - 1; ++i) bring();
#pragma unroll
    for (int i = 0; i < T::WM / 16; ++i)
#pragma unroll
        for (int j = 0; j < T::WN / 8; ++j)
#pragma unroll
            for (int x = 0; x < 4; ++x) c.v[i][j][x] = 0.0f;
#pragma unroll
    for (int x = 0; x < 4; ++x) c.sums[x] = 0.0f;

    uint32_t fa[2][T::WM / 16][4], fb[2][T::WN / 16][4];
    uint32_t from = begin;
    cp_async_wait<T::STAGES - 2>();
    __syncthreads();
    left.fragments(fa[0], from, 0);
    right.fragments(fb[0], from + B, 0);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
#pragma unroll
        for (int half = 0; half < HALVES; ++half) {
            if (half == HALVES - 1) {
                // The next tile has arrived, and every warp has taken what it needs of this one.
                cp_async_wait<T::STAGES - 2>();
                __syncthreads();
                from += T::STAGE_BYTES;
                if (from == end) from = begin;
            }
            int now = half & 1;
            left.fragments(fa[now ^ 1], from, (half + 1) % HALVES);
            right.fragments(fb[now ^ 1], from + B, (half + 1) % HALVES);
            if (half == 0) bring();
#pragma unroll
            for (int i = 0; i < T::WM / 16; ++i)
#pragma unroll
                for (int j = 0; j < T::WN / 8; ++j)
                    mma_16x8x16(c.v[i][j], fa[now][i], fb[now][j / 2][j % 2 * 2], fb[now][j / 2][j % 2 * 2 + 1]);
            if constexpr (SUMS) {
                // A times a matrix that is 1 in column i and 0 elsewhere.
                if (sums) {
#pragma unroll
                    for (int i = 0; i < T::WM / 16; ++i) {
                        uint32_t ones = lane >> 2 == i ? 0x3F803F80u : 0u;
                        mma_16x8x16(c.sums, fa[now][i], ones, ones);
                    }
                }
            }
        }
    }
    cp_async_wait<0>();
    __syncthreads();
}

// C = A B of the block's tile along all of `k`, for an empty Accumulator; false if there is no tile left for it.
template <class T, Along ALONG_A, Along ALONG_B, Fetch FETCH>
__device__ inline bool product(Accumulator<T>& c, Extent& e, Operand a, Operand b, uint32_t m, uint32_t n, uint32_t k,
                               const void* shared) {
    if (!place_block<T>(e, m, n)) return false;
    e.k0 = 0;
    e.k1 = k;
    multiply<T, ALONG_A, ALONG_B, FETCH>(c, a, b, e, shared);
    return true;
}

// The sums of A along k, by the lanes that hold them: store(row of the warp's part, sum).
template <class T, class Store>
__device__ inline void finish_sums(const Accumulator<T>& c, Store store) {
    uint32_t lane = threadIdx.x & 31, row = lane >> 2, col = (lane & 3) * 2;
#pragma unroll
    for (int x = 0; x < 4; ++x) {
        uint32_t piece = col + (x & 1);
        if (piece < T::WM / 16) store(piece * 16 + row + (x >> 1) * 8, c.sums[x]);
    }
}

// Gives every WIDTH neighbours of a row of C to `finish`, each element once: begin(col, count) for the columns that a
// thread keeps, then row(row, col, v, count) for each of its rows; v[0 .. count] exist, count is at most WIDTH.
// WIDTH neighbours make 16 bytes of the result: 8 of bf16, 4 of f32. `shared` is what multiply() had.
//
// Through shared memory, each warp on its own. The 16 bytes number c of row r of the warp's part lie at place
// c ^ (r % 4 * 2), bit 0 flipped in the second 128 bytes of a row, or in every other row where a row has only 128:
// the writes of a half-warp (4 rows by 32 bytes) and the reads of a quarter (8 lanes) are in different banks.
template <class T, int WIDTH, class Finish>
__device__ inline void finish(const Accumulator<T>& c, const Extent& e, void* shared, Finish& finish) {
    constexpr uint32_t LANES = T::WN / WIDTH, ROW_BYTES = T::WN * 4;
    auto place = [](uint32_t row, uint32_t chunk) {
        uint32_t flip = ROW_BYTES > 128 ? chunk >> 3 & 1 : row & 1;
        return row * ROW_BYTES + ((chunk ^ ((row & 3) << 1) ^ flip) << 4);
    };
    uint32_t lane = threadIdx.x & 31;
    char* mine = static_cast<char*>(shared) + warp_of_block() * (T::WM * ROW_BYTES);
    {
        uint32_t row = lane >> 2, t = lane & 3;
#pragma unroll
        for (int i = 0; i < T::WM / 16; ++i)
#pragma unroll
            for (int j = 0; j < T::WN / 8; ++j)
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                    uint32_t at = place(i * 16 + h * 8 + row, 2 * j + (t >> 1)) + (t & 1) * 8;
                    *reinterpret_cast<float2*>(mine + at) = make_float2(c.v[i][j][2 * h], c.v[i][j][2 * h + 1]);
                }
    }
    __syncwarp();
    uint32_t col = e.n0 + warp_col<T>() + lane % LANES * WIDTH;
    if (col >= e.n) return;
    int count = min(uint32_t(WIDTH), e.n - col);
    finish.begin(col, count);
#pragma unroll 2
    for (uint32_t r = lane / LANES; r < T::WM; r += 32 / LANES) {
        uint32_t row = e.m0 + warp_row<T>() + r;
        if (row >= e.m) break;
        uint32_t at = place(r, lane % LANES * (WIDTH / 4));
        float v[WIDTH];
#pragma unroll
        for (int i = 0; i < WIDTH; i += 4) {
            float4 x = *reinterpret_cast<const float4*>(mine + (at ^ i * 4));
            v[i] = x.x, v[i + 1] = x.y, v[i + 2] = x.z, v[i + 3] = x.w;
        }
        finish.row(row, col, v, count);
    }
}

// Whether rows of `stride` elements from p on all begin at a multiple of 16 bytes.
template <class E>
__device__ inline bool aligned(const E* p, uint32_t stride) {
    return ((reinterpret_cast<uintptr_t>(p) | uintptr_t(stride) * sizeof(E)) & 15) == 0;
}

// v[0 .. count] from p on, the rest 0: at once if all exist and p is aligned to 16 bytes.
__device__ inline void load(float (&v)[8], const bf16* p, int count, bool aligned) {
    if (aligned && count == 8) {
        unpack(*reinterpret_cast<const Vec8*>(p), v);
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] = i < count ? __bfloat162float(p[i]) : 0.0f;
    }
}
__device__ inline void load(float (&v)[4], const float* p, int count, bool aligned) {
    if (aligned && count == 4) {
        float4 x = *reinterpret_cast<const float4*>(p);
        v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) v[i] = i < count ? p[i] : 0.0f;
    }
}
__device__ inline void store(bf16* p, const float (&v)[8], int count, bool aligned) {
    if (aligned && count == 8) {
        *reinterpret_cast<Vec8*>(p) = pack(v);
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i)
            if (i < count) p[i] = __float2bfloat16(v[i]);
    }
}
__device__ inline void store(float* p, const float (&v)[4], int count, bool aligned) {
    if (aligned && count == 4) {
        *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (i < count) p[i] = v[i];
    }
}
