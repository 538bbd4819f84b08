// Tensor cores: matrix products with asynchronous copies in several stages, and attention.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

__device__ uint32_t shared_address(const void *p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// 16 bytes; `inside` false: zeros, and nothing is read.
__device__ void copy_async(void *to, const void *from, bool inside) {
    int bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
}

__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int N> __device__ void wait_groups() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

__device__ void load_matrices(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}

__device__ void load_matrices_transposed(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}

#define MMA(shape, types, d, a0, a1, a2, a3, b0, b1)                                                                              \
    asm volatile("mma.sync.aligned." shape ".row.col.f32." types ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "             \
                 "{%0, %1, %2, %3};"                                                                                               \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                                  \
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1))

template <typename T> __device__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

template <> __device__ void mma<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    MMA("m16n8k16", "bf16.bf16", d, a[0], a[1], a[2], a[3], b0, b1);
}

template <> __device__ void mma<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    MMA("m16n8k16", "f16.f16", d, a[0], a[1], a[2], a[3], b0, b1);
}

// C [m, n] = A [m, k] B, B given as [n, k], or as [k, n] where TRANSPOSED. k, and n where it is the rows' length, are multiples
// of 8. Tiles of 64 x 64 x 32 by four warps, each 32 x 32; three stages.
template <typename T, bool TRANSPOSED> __device__ void gemm(int m, int n, int k, const T *a, const T *b, float *c) {
    constexpr int STAGES = 3, K = 32, PAD = 8;
    constexpr int B_ROWS = TRANSPOSED ? K : 64, B_COLUMNS = (TRANSPOSED ? 64 : K) + PAD;
    __shared__ __align__(16) T as[STAGES][64][K + PAD];
    __shared__ __align__(16) T bs[STAGES][B_ROWS][B_COLUMNS];
    int row0 = blockIdx.y * 64, column0 = blockIdx.x * 64;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
    int steps = (k + K - 1) / K;

    auto fetch = [&](int step) {
        if (step < steps) {
            int stage = step % STAGES, start = step * K;
            for (int chunk = threadIdx.x; chunk < 64 * K / 8; chunk += 128) {
                int r = chunk / (K / 8), s = chunk % (K / 8) * 8;
                bool inside = row0 + r < m && start + s < k;
                copy_async(&as[stage][r][s], inside ? &a[(row0 + r) * k + start + s] : a, inside);
            }
            for (int chunk = threadIdx.x; chunk < 64 * K / 8; chunk += 128) {
                if (TRANSPOSED) {
                    int r = chunk / 8, s = chunk % 8 * 8;
                    bool inside = start + r < k && column0 + s < n;
                    copy_async(&bs[stage][r][s], inside ? &b[(start + r) * n + column0 + s] : b, inside);
                } else {
                    int r = chunk / (K / 8), s = chunk % (K / 8) * 8;
                    bool inside = column0 + r < n && start + s < k;
                    copy_async(&bs[stage][r][s], inside ? &b[(column0 + r) * k + start + s] : b, inside);
                }
            }
        }
        commit();
    };

    float sums[2][4][4] = {};
    for (int step = 0; step < STAGES - 1; ++step) fetch(step);
    for (int step = 0; step < steps; ++step) {
        wait_groups<STAGES - 2>();
        __syncthreads();
        fetch(step + STAGES - 1);
        int stage = step % STAGES;
        for (int inner = 0; inner < K; inner += 16) {
            uint32_t af[2][4], bf[2][4];
            for (int i = 0; i < 2; ++i)
                load_matrices(af[i], &as[stage][warp_row + 16 * i + lane % 16][inner + lane / 16 * 8]);
            // Two column tiles at a time: registers 0 and 1 are k 0..8 and 8..16 of the first, 2 and 3 of the second.
            for (int i = 0; i < 2; ++i) {
                if (TRANSPOSED)
                    load_matrices_transposed(bf[i], &bs[stage][inner + lane % 16][warp_column + 16 * i + lane / 16 * 8]);
                else
                    load_matrices(bf[i], &bs[stage][warp_column + 16 * i + lane / 16 * 8 + lane % 8][inner + lane / 8 % 2 * 8]);
            }
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 4; ++j) mma<T>(sums[i][j], af[i], bf[j / 2][j % 2 * 2], bf[j / 2][j % 2 * 2 + 1]);
        }
    }
    wait_groups<0>();
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j)
            for (int e = 0; e < 4; ++e) {
                int row = row0 + warp_row + 16 * i + lane / 4 + e / 2 * 8;
                int column = column0 + warp_column + 8 * j + lane % 4 * 2 + e % 2;
                if (row < m && column < n) c[row * n + column] = sums[i][j][e];
            }
}

extern "C" __global__ void __launch_bounds__(128)
    gemm_bf16(int m, int n, int k, const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c) {
    gemm<__nv_bfloat16, false>(m, n, k, a, b, c);
}

extern "C" __global__ void __launch_bounds__(128) gemm_f16(int m, int n, int k, const __half *a, const __half *b, float *c) {
    gemm<__half, false>(m, n, k, a, b, c);
}

extern "C" __global__ void __launch_bounds__(128)
    gemm_bf16_rows(int m, int n, int k, const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c) {
    gemm<__nv_bfloat16, true>(m, n, k, a, b, c);
}

// C [16, 8] = A [16, k] B [8, k], one warp, k a multiple of 8; f32 inputs are rounded to tf32.
extern "C" __global__ void gemm_tf32(int k, const float *a, const float *b, float *c) {
    int group = threadIdx.x / 4, thread = threadIdx.x % 4;
    auto tf32 = [](float x) {
        uint32_t r;
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
        return r;
    };
    float d[4] = {};
    for (int start = 0; start < k; start += 8) {
        const float *x = a + start, *y = b + start;
        MMA("m16n8k8", "tf32.tf32", d, tf32(x[group * k + thread]), tf32(x[(group + 8) * k + thread]), tf32(x[group * k + thread + 4]),
            tf32(x[(group + 8) * k + thread + 4]), tf32(y[group * k + thread]), tf32(y[group * k + thread + 4]));
    }
    for (int e = 0; e < 4; ++e) c[(group + e / 2 * 8) * 8 + thread * 2 + e % 2] = d[e];
}

// D [16, 8] = A [16, 16] B [8, 16] + C, all f16.
extern "C" __global__ void tile_f16(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d) {
    int group = threadIdx.x / 4, thread = threadIdx.x % 4;
    uint32_t d0, d1;
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%8, %9};"
                 : "=r"(d0), "=r"(d1)
                 : "r"(a[group * 8 + thread]), "r"(a[(group + 8) * 8 + thread]), "r"(a[group * 8 + thread + 4]),
                   "r"(a[(group + 8) * 8 + thread + 4]), "r"(b[group * 8 + thread]), "r"(b[group * 8 + thread + 4]),
                   "r"(c[group * 4 + thread]), "r"(c[(group + 8) * 4 + thread]));
    d[group * 4 + thread] = d0, d[(group + 8) * 4 + thread] = d1;
}

__device__ uint32_t pack(float low, float high) {
    __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&both);
}

// Attention, forward: O [heads, n, 64] in f32, LSE [heads, n] natural. Blocks of 64 queries and 64 keys, a warp for 16 queries.
// Scores stay in registers, where C's layout is A's of the second product.
extern "C" __global__ void __launch_bounds__(128) attention(int n, int causal, float scale, const __nv_bfloat16 *q,
                                                            const __nv_bfloat16 *k, const __nv_bfloat16 *v, float *o, float *lse) {
    constexpr int D = 64;
    extern __shared__ __align__(16) unsigned char memory[];
    auto qs = reinterpret_cast<__nv_bfloat16(*)[D + 8]>(memory);
    auto ks = qs + 64, vs = ks + 64;
    size_t head = size_t(blockIdx.y) * n * D;
    q += head, k += head, v += head, o += head, lse += blockIdx.y * n;
    int first = blockIdx.x * 64, lane = threadIdx.x % 32, warp = threadIdx.x / 32;

    auto fetch = [&](__nv_bfloat16(*to)[D + 8], const __nv_bfloat16 *from, int start) {
        for (int chunk = threadIdx.x; chunk < 64 * D / 8; chunk += 128) {
            int row = chunk / (D / 8), column = chunk % (D / 8) * 8;
            bool inside = start + row < n;
            copy_async(&to[row][column], inside ? &from[(start + row) * D + column] : from, inside);
        }
    };
    fetch(qs, q, first);
    commit();
    wait_groups<0>();
    __syncthreads();
    uint32_t qf[D / 16][4];
    for (int i = 0; i < D / 16; ++i) load_matrices(qf[i], &qs[warp * 16 + lane % 16][16 * i + lane / 16 * 8]);

    float out[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    const float log2e = 1.4426950408889634f;
    int end = causal ? min(n, first + 64) : n;
    for (int start = 0; start < end; start += 64) {
        __syncthreads();
        fetch(ks, k, start);
        commit();
        fetch(vs, v, start);
        commit();
        wait_groups<1>();
        __syncthreads();

        float s[8][4] = {};
        for (int i = 0; i < D / 16; ++i)
            for (int j = 0; j < 4; ++j) {
                uint32_t kf[4];
                load_matrices(kf, &ks[16 * j + lane / 16 * 8 + lane % 8][16 * i + lane / 8 % 2 * 8]);
                mma<__nv_bfloat16>(s[2 * j], qf[i], kf[0], kf[1]);
                mma<__nv_bfloat16>(s[2 * j + 1], qf[i], kf[2], kf[3]);
            }

        for (int half = 0; half < 2; ++half) {
            int query = first + warp * 16 + lane / 4 + 8 * half;
            float high = top[half];
            for (int j = 0; j < 8; ++j)
                for (int e = 0; e < 2; ++e) {
                    int key = start + 8 * j + lane % 4 * 2 + e;
                    float &x = s[j][2 * half + e];
                    x = key < n && (!causal || key <= query) ? x * scale * log2e : -INFINITY;
                    high = fmaxf(high, x);
                }
            high = fmaxf(high, __shfl_xor_sync(0xffffffff, high, 1));
            high = fmaxf(high, __shfl_xor_sync(0xffffffff, high, 2));
            float base = high == -INFINITY ? 0.0f : high, shrink = exp2f(top[half] - base);
            top[half] = high, sum[half] *= shrink;
            for (int j = 0; j < D / 8; ++j) out[j][2 * half] *= shrink, out[j][2 * half + 1] *= shrink;
            for (int j = 0; j < 8; ++j)
                for (int e = 0; e < 2; ++e) sum[half] += s[j][2 * half + e] = exp2f(s[j][2 * half + e] - base);
        }

        wait_groups<0>();
        __syncthreads();
        for (int i = 0; i < 4; ++i) {
            uint32_t pf[4] = {pack(s[2 * i][0], s[2 * i][1]), pack(s[2 * i][2], s[2 * i][3]), pack(s[2 * i + 1][0], s[2 * i + 1][1]),
                              pack(s[2 * i + 1][2], s[2 * i + 1][3])};
            for (int j = 0; j < D / 16; ++j) {
                uint32_t vf[4];
                load_matrices_transposed(vf, &vs[16 * i + lane % 16][16 * j + lane / 16 * 8]);
                mma<__nv_bfloat16>(out[2 * j], pf, vf[0], vf[1]);
                mma<__nv_bfloat16>(out[2 * j + 1], pf, vf[2], vf[3]);
            }
        }
    }

    for (int half = 0; half < 2; ++half) {
        float all = sum[half];
        all += __shfl_xor_sync(0xffffffff, all, 1);
        all += __shfl_xor_sync(0xffffffff, all, 2);
        int query = first + warp * 16 + lane / 4 + 8 * half;
        if (query >= n) continue;
        for (int j = 0; j < D / 8; ++j)
            for (int e = 0; e < 2; ++e) o[query * D + 8 * j + lane % 4 * 2 + e] = out[j][2 * half + e] / all;
        if (lane % 4 == 0) lse[query] = top[half] / log2e + logf(all);
    }
}
