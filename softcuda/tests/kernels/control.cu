// Control flow: all that makes the lanes of a warp part and meet again. Each kernel gives every thread a number that tells its path.

#include <cuda_runtime.h>

#define ID (blockIdx.x * blockDim.x + threadIdx.x)
#define FULL 0xffffffffu

extern "C" __global__ void nested_loops(unsigned *out) {
    unsigned t = ID, acc = t;
    for (unsigned i = 0; i < t % 7; ++i) {
        for (unsigned j = 0; j < (t * i) % 5 + 1; ++j) {
            if ((i + j + t) % 3 == 0) continue;
            acc = acc * 31 + i * 5 + j;
            if (acc & 0x40) break;
            unsigned w = t % 4;
            while (w--) {
                if (acc % 11 == 3) break;
                acc += w * i + 7;
            }
        }
        if (acc % 13 == 5) continue;
        acc ^= i << 4;
    }
    out[t] = acc;
}

extern "C" __global__ void early_return(unsigned *out) {
    unsigned t = ID;
    out[t] = 1;
    if (t % 4 == 1) return;
    out[t] = 2;
    for (unsigned i = 0;; ++i) {
        if (i * i > t) return;
        out[t] += i;
        if (i == 9) {
            out[t] += 100;
            return;
        }
    }
}

// Lanes that have returned do not keep the others from a barrier.
extern "C" __global__ void return_before_barrier(unsigned *out) {
    __shared__ unsigned values[128];
    unsigned t = threadIdx.x;
    if (t >= 100) {
        out[t] = 0xdead;
        return;
    }
    values[t] = t * t;
    __syncthreads();
    out[t] = values[99 - t];
}

extern "C" __global__ void switches(const int *which, unsigned *out) {
    unsigned t = ID, acc = 1;
    switch (which[t]) {
    case 0: acc = 10; break;
    case 1: acc = 21;
    case 2: acc += 32; break;
    case 3: acc = t * 3; break;
    case 4: acc = t + 1;
    case 5: acc *= 5;
    case 6: acc ^= 0x66; break;
    case 7: {
        for (unsigned i = 0; i < t % 5; ++i) acc += acc * i + 7;
        break;
    }
    case 8: out[t] = 88; return;
    case 9: acc = __popc(t); break;
    default: acc = 0xffff;
    }
    switch (which[t] * 1000003) {
    case -1000003: acc += 1; break;
    case 0: acc += 2; break;
    case 3000009: acc += 3; break;
    case 7000021: acc += 4; break;
    case 11000033: acc += 5; break;
    }
    out[t] = acc;
}

extern "C" __global__ void gotos(unsigned *out) {
    unsigned t = ID, x = t + 1, steps = 0;
start:
    if (x == 1) goto done;
    ++steps;
    if (x % 2) goto odd;
    x /= 2;
    if (steps > 200) goto done;
    goto start;
odd:
    x = 3 * x + 1;
    if (x > 100000) goto give_up;
    goto start;
give_up:
    steps = 9999;
done:
    out[t] = steps;
}

__device__ __noinline__ unsigned fibonacci(unsigned n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n) {
    if (m == 0) return n + 1;
    if (n == 0) return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

__device__ __noinline__ bool is_odd(unsigned n);
__device__ __noinline__ bool is_even(unsigned n) { return n == 0 || is_odd(n - 1); }
__device__ __noinline__ bool is_odd(unsigned n) { return n != 0 && is_even(n - 1); }

extern "C" __global__ void recursion(unsigned *out) {
    unsigned t = ID, acc = fibonacci(t % 13) * 1000 + ackermann(t % 3, t % 5);
    if (t % 3) acc += is_even(t % 10) ? 100000 : 200000;
    out[t] = acc;
}

__device__ __noinline__ bool note(unsigned &log, unsigned bit, bool answer) {
    log |= 1u << bit;
    return answer;
}

extern "C" __global__ void short_circuits(unsigned *out) {
    unsigned t = ID, log = 0;
    if ((note(log, 0, t & 1) && note(log, 1, t & 2)) || (note(log, 2, t & 4) && !note(log, 3, t & 8))) log |= 1 << 16;
    bool x = note(log, 4, t % 3 == 0) ? note(log, 5, t & 16) : note(log, 6, t & 32);
    if (!x && (t % 5 == 0 || note(log, 7, true))) log |= 1 << 17;
    out[t] = log;
}

// Shuffles in both branches, each among its own lanes; then among fewer and fewer.
extern "C" __global__ void partial_shuffles(unsigned *out) {
    unsigned t = threadIdx.x, v = t * 10 + 1;
    if (t & 1)
        v += __shfl_xor_sync(0xaaaaaaaa, v, 2);
    else
        v ^= __shfl_xor_sync(0x55555555, v, 4);
    unsigned mask = FULL;
    for (unsigned round = 0; round < 5; ++round) {
        mask = __ballot_sync(mask, t >= 5 * round);
        if (t < 5 * round) break;
        unsigned first = __ffs(mask) - 1;
        v = v * 3 + __shfl_sync(mask, v, first);
    }
    __syncwarp();
    v += __shfl_down_sync(FULL, v, 3);
    v += __shfl_up_sync(FULL, v, 2, 8);
    v += __shfl_sync(FULL, v, 19, 16);
    out[t] = v;
}

extern "C" __global__ void votes(const unsigned *in, unsigned *out) {
    unsigned t = threadIdx.x, x = in[t];
    unsigned *o = out + t * 12;
    o[0] = __ballot_sync(FULL, x & 1);
    o[1] = __any_sync(FULL, x == 3);
    o[2] = __all_sync(FULL, x < 8);
    o[3] = __match_any_sync(FULL, x);
    int same;
    o[4] = __match_all_sync(FULL, x, &same), o[5] = same;
    o[6] = __match_all_sync(FULL, 77ull << 33, &same), o[7] = same;
    o[8] = __reduce_add_sync(FULL, x);
    o[9] = __reduce_max_sync(FULL, (int)x - 4);
    o[10] = __reduce_xor_sync(FULL, 1u << x);
    if (t < 10)
        o[11] = __ballot_sync(0x3ff, x > 2);
    else
        o[11] = __reduce_or_sync(0xfffffc00, x << 8);
}

__device__ __noinline__ unsigned twice(unsigned x) { return x * 2; }
__device__ __noinline__ unsigned square(unsigned x) { return x * x; }
__device__ __noinline__ unsigned collatz(unsigned x) {
    unsigned n = 0;
    while (x > 1) x = x % 2 ? 3 * x + 1 : x / 2, ++n;
    return n;
}

extern "C" __global__ void divergent_calls(unsigned *out) {
    unsigned t = ID, v;
    if (t % 3 == 0)
        v = twice(t) + square(t + 1);
    else if (t % 3 == 1)
        v = collatz(t + 1);
    else
        v = square(collatz(twice(t)));
    out[t] = v + twice(1);
}

struct Record {
    char tag;
    short counts[3];
    double weight;
    int values[5];
};

__device__ __noinline__ Record grown(Record r, int by) {
    r.tag += 1, r.weight *= 1.5;
    for (int i = 0; i < 3; ++i) r.counts[i] += by;
    for (int i = 0; i < 5; ++i) r.values[i] = r.values[i] * by + i;
    return r;
}

__device__ __noinline__ void sort(int *values, int n) {
    for (int i = 1; i < n; ++i) {
        int v = values[i], j = i;
        for (; j > 0 && values[j - 1] > v; --j) values[j] = values[j - 1];
        values[j] = v;
    }
}

extern "C" __global__ void structs(Record given, double *out) {
    int t = ID;
    given.counts[t % 3] += t;
    Record r = grown(given, t);
    if (t % 2) r = grown(r, 2);
    double sum = r.tag + r.weight;
    for (int i = 0; i < 3; ++i) sum += r.counts[i];
    for (int i = 0; i < 5; ++i) sum += r.values[i];
    out[t] = sum;
}

extern "C" __global__ void local_arrays(int *out) {
    int t = ID, values[20], n = 1 + t % 20;
    for (int i = 0; i < n; ++i) values[i] = (i * 7919 + t * 104729) % 1009;
    sort(values, n);
    for (int i = 0; i < n; ++i) out[t * 20 + i] = values[i];
    for (int i = n; i < 20; ++i) out[t * 20 + i] = -1;
}

// A lock for all threads, the lanes of a warp among them.
extern "C" __global__ void spin_lock(int *lock, volatile int *counter, int *order) {
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            __threadfence();
            int n = *counter;
            *counter = n + 1;
            order[ID] = n;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}

// Lanes of a warp hand values on through shared memory.
extern "C" __global__ void warp_exchange(int *out) {
    __shared__ int values[64];
    int t = threadIdx.x, lane = t % 32, base = t - lane;
    values[t] = t * 3;
    __syncwarp();
    int v = values[base + (lane + 1) % 32];
    __syncwarp();
    if (lane < 16) {
        values[t] = v + 1;
        __syncwarp(0xffff);
        v = values[base + 15 - lane];
    }
    out[t] = v;
}

// A loop that lanes leave at different times, with a barrier for all in the loop around it.
extern "C" __global__ void loops_and_barriers(unsigned *out) {
    __shared__ unsigned values[96];
    unsigned t = threadIdx.x, n = blockDim.x, acc = 0;
    values[t] = t;
    for (unsigned round = 0; round < 4; ++round) {
        __syncthreads();
        for (unsigned i = 0; i < (t + round) % 6; ++i) acc += values[(t + i) % n];
        __syncthreads();
        values[t] = acc % 1000;
    }
    unsigned odd = __syncthreads_count(acc & 1);
    bool any = __syncthreads_or(acc == 12345), all = __syncthreads_and(t < n);
    out[t] = acc * 1000 + odd * 4 + any * 2 + all;
}

extern "C" __global__ void dimensions(unsigned *out) {
    unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    unsigned lane;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] =
        threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * blockIdx.x + 10000 * blockIdx.y + 100000 * blockIdx.z + lane * 1000000;
}
