// Atomic operations of all kinds, in global and in shared memory.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

// atomicAdd on long long is not there: the unsigned one does the same.
__device__ long long atomicAdd(long long *p, long long v) {
    return atomicAdd(reinterpret_cast<unsigned long long *>(p), static_cast<unsigned long long>(v));
}

// All threads do all operations on the same words.
template <typename T> __device__ void integers(T *words, const T *x) {
    T v = x[blockIdx.x * blockDim.x + threadIdx.x];
    atomicAdd(&words[0], v);
    atomicMin(&words[1], v);
    atomicMax(&words[2], v);
    atomicAnd(&words[3], v | T(0xff));
    atomicOr(&words[4], v & T(0x0f0f0f));
    atomicXor(&words[5], v);
}

// As above in shared memory, then added to what is there.
template <typename T> __device__ void shared_integers(T *words, const T *x) {
    __shared__ T local[6];
    if (threadIdx.x < 6) local[threadIdx.x] = words[threadIdx.x];
    __syncthreads();
    integers(local, x);
    __syncthreads();
    if (threadIdx.x < 6) words[threadIdx.x] = local[threadIdx.x];
}

#define KERNELS(name, type)                                                                                                       \
    extern "C" __global__ void name(type *words, const type *x) { integers<type>(words, x); }                                      \
    extern "C" __global__ void name##_shared(type *words, const type *x) { shared_integers<type>(words, x); }

KERNELS(atomics_i32, int)
KERNELS(atomics_u32, unsigned)
KERNELS(atomics_i64, long long)
KERNELS(atomics_u64, unsigned long long)

extern "C" __global__ void atomics_float(float *f, double *d, __half2 *h, __nv_bfloat162 *b, __half *one) {
    __shared__ float f_shared;
    __shared__ double d_shared;
    if (threadIdx.x == 0) f_shared = 0, d_shared = 0;
    __syncthreads();
    float v = threadIdx.x % 7;
    atomicAdd(&f[0], v);
    atomicAdd(&d[0], v + 0.5);
    atomicAdd(&f_shared, v);
    atomicAdd(&d_shared, v * 0.25);
    // Small whole numbers: sums are exact.
    atomicAdd(h, __floats2half2_rn(threadIdx.x % 2, 1));
    atomicAdd(b, __floats2bfloat162_rn(threadIdx.x % 32 == 0, threadIdx.x % 16 == 0));
    atomicAdd(&one[1], __float2half(0.5f));
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(&f[1], f_shared), atomicAdd(&d[1], d_shared);
}

// Each thread takes numbers, each of which is given once.
extern "C" __global__ void tickets(unsigned *words, unsigned *taken, int n) {
    for (int i = 0; i < n; ++i) taken[atomicAdd(&words[0], 1u)] = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned up = atomicInc(&words[1], 9u), down = atomicDec(&words[2], 9u);
    atomicAdd(&words[3], up), atomicAdd(&words[4], down);
}

// A chain: each thread puts its number in and gets that of the one before.
extern "C" __global__ void exchange(int *last, int *before) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    before[t] = atomicExch(last, t);
}

// A product by compare and swap.
extern "C" __global__ void multiply(unsigned long long *product, unsigned *tries, const unsigned long long *x) {
    unsigned long long old = *(volatile unsigned long long *)product, assumed;
    unsigned n = 0;
    do {
        assumed = old;
        old = atomicCAS(product, assumed, assumed * x[threadIdx.x]);
        ++n;
    } while (old != assumed);
    tries[threadIdx.x] = n;
}

// Different addresses in a warp, some alike.
extern "C" __global__ void scattered(int *words, int *before) {
    int t = threadIdx.x;
    before[t] = atomicAdd(&words[t % 5 * 3], t);
}

__device__ int system_counter;
extern "C" __global__ void scopes(int *words) {
    atomicAdd_block(&words[blockIdx.x], 1);
    atomicAdd_system(&words[4], 1);
    atomicMax(&system_counter, (int)threadIdx.x);
    int old;
    asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], 2;" : "=r"(old) : "l"(&words[5]) : "memory");
    asm volatile("red.relaxed.gpu.global.add.s32 [%0], 3;" ::"l"(&words[6]) : "memory");
}
