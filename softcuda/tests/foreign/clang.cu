// Kernels for clang's NVPTX back end, with no CUDA headers: the few declarations that they need are here.

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define NOINLINE __attribute__((noinline))

#define TID ((int)__nvvm_read_ptx_sreg_tid_x())
#define NTID ((int)__nvvm_read_ptx_sreg_ntid_x())
#define CTAID ((int)__nvvm_read_ptx_sreg_ctaid_x())
#define NCTAID ((int)__nvvm_read_ptx_sreg_nctaid_x())
#define ID (CTAID * NTID + TID)

extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
    for (int i = ID; i < n; i += NCTAID * NTID) y[i] = __builtin_fmaf(a, x[i], y[i]);
}

extern "C" __global__ void block_sums(int n, const float *x, float *sums) {
    __shared__ float partial[32];
    int lane = TID % 32, warp = TID / 32;
    float v = ID < n ? x[ID] : 0.0f;
    for (int offset = 16; offset > 0; offset /= 2) v += __nvvm_shfl_sync_down_f32(0xffffffff, v, offset, 31);
    if (lane == 0) partial[warp] = v;
    __syncthreads();
    if (warp == 0) {
        v = lane < NTID / 32 ? partial[lane] : 0.0f;
        for (int offset = 16; offset > 0; offset /= 2) v += __nvvm_shfl_sync_down_f32(0xffffffff, v, offset, 31);
        if (lane == 0) sums[CTAID] = v;
    }
}

extern "C" __global__ void histogram(int n, const unsigned char *x, int *counts) {
    __shared__ int local[256];
    for (int i = TID; i < 256; i += NTID) local[i] = 0;
    __syncthreads();
    for (int i = ID; i < n; i += NCTAID * NTID) __nvvm_atom_add_gen_i(&local[x[i]], 1);
    __syncthreads();
    for (int i = TID; i < 256; i += NTID) __nvvm_atom_add_gen_i(&counts[i], local[i]);
}

__constant__ int primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};

NOINLINE __device__ int factor(int x) {
    switch (x % 8) {
    case 0: return primes[0];
    case 1: return -primes[x % 3];
    case 2: x += 9;
    case 3: return x * primes[4];
    case 5:
        while (x > 3) x -= x % 2 ? 3 : 1;
        return x;
    case 7: return x < 60 ? factor(x + 6) : 1;
    }
    return x;
}

struct State {
    long long total;
    unsigned short seen[6];
    char last;
};

NOINLINE __device__ State step(State s, int x) {
    s.total += x;
    s.seen[x & 3] += 1;
    s.last = x;
    return s;
}

extern "C" __global__ void paths(int rounds, long long *out) {
    State s = {};
    int t = ID, values[8];
    for (int i = 0; i < 8; ++i) values[i] = (t * 31 + i * 17) % 64;
    for (int i = 0; i < rounds; ++i) {
        int x = factor(values[(i + t) % 8]);
        if (x < 0) {
            if (t % 3 == 0) continue;
            values[i % 8] = -x;
        }
        s = step(s, x);
        if (s.total > 400) break;
    }
    out[t] = s.total * 1000 + s.seen[1] * 100 + s.seen[3] * 10 + s.last % 10;
}

extern "C" __global__ void doubles(const double *x, const long long *y, double *out) {
    int t = ID;
    double a = x[t], b = (double)y[t];
    out[4 * t] = __builtin_sqrt(a < 0 ? -a : a) / b;
    out[4 * t + 1] = (double)((long long)(a * 1e9) % y[t]);
    out[4 * t + 2] = (double)((unsigned long long)y[t] / 1000003ull) - a;
    out[4 * t + 3] = __builtin_floor(a * b) + (float)a;
}
