// printf, assert, module variables.

#include <assert.h>
#include <stdio.h>

extern "C" __global__ void print_all(const char *name) {
    printf("nothing\n");
    printf("%d %i %u %x %X %o %c %%\n", -5, 6, 7u, 255u, 255u, 8u, 'z');
    printf("[%5d] [%-5d] [%05d] [%+d] [% d] [%#x]\n", 42, 42, 42, 42, 42, 42);
    printf("%lld %llu %llx %ld\n", -1234567890123ll, 18446744073709551615ull, 0x123456789abcull, -7l);
    printf("%f %.3f %10.4f %-10.1f| %e %g %g %G\n", 1.5, 3.14159, 2.71828, 9.99, 12345.678, 0.0001, 1e20, 1e-10);
    printf("%s, %10s, %-6s|%.2s|\n", "text", "right", "left", "cut");
    printf("%s %f %d\n", name, 1.0f / 3, (short)-3);
    printf("%*d|%-*d|%.*f\n", 6, 1, 4, 2, 2, 1.005);
    printf("%p %hd %hhd\n", (void *)0x1000, (short)-1, (signed char)-2);
}

extern "C" __global__ void print_threads() { printf("block %d thread %d\n", blockIdx.x, threadIdx.x); }

extern "C" __global__ void print_some(int *returned) {
    int n = 0;
    if (threadIdx.x % 16 == 3) n = printf("%d: %s\n", threadIdx.x, threadIdx.x > 16 ? "high" : "low");
    returned[threadIdx.x] = n;
}

extern "C" __global__ void check(const int *x, int *out) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    assert(x[t] != 13);
    out[t] = x[t] + 1;
}

__constant__ float table[8] = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};
__constant__ struct {
    int a;
    char b;
    double c;
    short d[3];
} mixed = {7, -3, 2.25, {1, 2, -3}};
__device__ int counter = 5;
__device__ int numbers[4] = {10, 20, 30, 40};
__device__ int *into_numbers = numbers + 2;
__device__ const char *const words[] = {"zero", "one", "two"};
__device__ unsigned char bytes[] = {1, 2, 3, 250};
__device__ double untouched[3];
__constant__ int offsets[4];
__device__ int *outside;

extern "C" __global__ void variables(float *out) {
    int t = threadIdx.x;
    float v = table[t % 8] + mixed.a + mixed.b + mixed.c + mixed.d[t % 3] + untouched[t % 3];
    v += *into_numbers + bytes[t % 4] + words[t % 3][1] + offsets[t % 4];
    static __device__ int calls = 100;
    atomicAdd(&counter, 1);
    if (t == 0) calls += 1, v += calls, into_numbers[1] += 2;
    out[t] = v;
}

extern "C" __global__ void write_outside(int value) { outside[threadIdx.x] = value + threadIdx.x; }

// Memory of different spaces through pointers that do not say which.
__device__ __noinline__ int sum(const int *p, int n) {
    int s = 0;
    for (int i = 0; i < n; ++i) s += p[i];
    return s;
}

extern "C" __global__ void generic_pointers(const int *global, int *out) {
    __shared__ int shared[4];
    int local[4];
    int t = threadIdx.x;
    if (t < 4) shared[t] = 100 * t;
    for (int i = 0; i < 4; ++i) local[i] = t + i;
    __syncthreads();
    const int *p = t % 4 == 0 ? global : t % 4 == 1 ? shared : t % 4 == 2 ? local : offsets;
    out[t] = sum(p, 4) + 10000 * (__isGlobal(p) + 2 * __isShared(p) + 4 * __isLocal(p) + 8 * __isConstant(p));
}

// Two arrays of different types in one dynamic piece.
extern "C" __global__ void dynamic_shared(int n, double *out) {
    extern __shared__ double big[];
    short *small = reinterpret_cast<short *>(big + n);
    int t = threadIdx.x;
    if (t < n) big[t] = t * 0.5, small[t] = t * 3;
    __syncthreads();
    if (t < n) out[t] = big[n - 1 - t] + small[(t + 1) % n];
}
