// What nvcc_sm_80.ptx is compiled from: something of each kind that a parser meets.
#include <cstdio>
#include <cuda_bf16.h>
#include <mma.h>

__constant__ float table[2][3] = {{1.f, 2.f}, {3.f}};
__device__ int counter = 5;
__device__ int *pointers[2] = {&counter, &counter};
__device__ double scale = 1.5;
extern __shared__ float dynamic[];

struct Pair {
    int a;
    double b;
};

__device__ __noinline__ Pair swap(Pair p, int k) {
    Pair q;
    q.a = (int)p.b + k;
    q.b = p.a;
    return q;
}

__device__ __noinline__ int twice(int x) { return 2 * x; }
__device__ __noinline__ int square(int x) { return x * x; }
__device__ int (*functions[2])(int) = {twice, square};

extern "C" __global__ void __launch_bounds__(256, 2) reduce(const float *__restrict__ x, float *y, int n) {
    __shared__ float warp[32];
    float s = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) s += x[i];
    for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(~0u, s, o);
    if (threadIdx.x % 32 == 0) warp[threadIdx.x / 32] = s;
    __syncthreads();
    if (threadIdx.x == 0) {
        atomicAdd(y, s + warp[1]);
        dynamic[0] = s;
    }
}

extern "C" __global__ void calls(Pair p, int *out, int k) {
    Pair q = swap(p, k);
    out[0] = q.a + functions[k & 1](k) + *pointers[k & 1];
    out[1] = (int)(q.b * scale + table[k & 1][k % 3]);
    if (k == 77) printf("k %d %f\n", k, q.b);
    switch (k) {
    case 0: out[2] = 5; break;
    case 1: out[2] = twice(k); break;
    case 2: out[3] = 7; break;
    case 3: out[4] = square(k); break;
    case 4: out[2] = out[3]; break;
    case 5: atomicMin(out, k); break;
    case 6: out[9] = 1; break;
    }
}

extern "C" __global__ void math(const __nv_bfloat16 *a, float *c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = __bfloat162float(a[i]);
    c[i] = expf(x) + rsqrtf(x) + __logf(x) / x;
    ((__nv_bfloat162 *)c)[i] = __floats2bfloat162_rn(x, -x);
    float local[8];
    for (int j = 0; j < 8; j++) local[j] = c[i + j];
    c[i] = local[n & 7];
}

using namespace nvcuda;
extern "C" __global__ void product(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
    wmma::fill_fragment(fc, 0.f);
    wmma::load_matrix_sync(fa, a, 16);
    wmma::load_matrix_sync(fb, b, 16);
    wmma::mma_sync(fc, fa, fb, fc);
    wmma::store_matrix_sync(c, fc, 16, wmma::mem_row_major);
}

extern "C" __global__ void copy(const float4 *from, float4 *to) {
    __shared__ float4 tile[32];
    unsigned place = (unsigned)__cvta_generic_to_shared(&tile[threadIdx.x]);
    asm volatile("{ .reg .b32 t; mov.b32 t, 16; cp.async.cg.shared.global.L2::128B [%0], [%1], 16; }" ::"r"(place),
                 "l"(from + threadIdx.x));
    asm volatile("cp.async.commit_group; cp.async.wait_group 0;");
    __syncthreads();
    to[threadIdx.x] = tile[31 - threadIdx.x];
}
