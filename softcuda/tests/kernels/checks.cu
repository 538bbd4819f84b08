// For each check a kernel that is wrong in just that way, or right, as its first argument says. The line to blame ends with the
// kernel's name in a comment.

#include <cuda_runtime.h>

#define FULL 0xffffffffu

// Bounds and alignment.

extern "C" __global__ void global_bounds(int wrong, int n, int *x) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n + wrong) x[i] = i; // global_bounds
}

extern "C" __global__ void global_alignment(int wrong, char *x) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    *(int *)(x + 4 * i + wrong) = i; // global_alignment
}

extern "C" __global__ void shared_bounds(int wrong, int *out) {
    extern __shared__ int words[];
    int t = threadIdx.x;
    words[t + wrong] = t; // shared_bounds
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = words[t];
}

extern "C" __global__ void shared_alignment(int wrong, int *out) {
    extern __shared__ char bytes[];
    int t = threadIdx.x;
    *(int *)(bytes + 4 * t + 2 * wrong) = t; // shared_alignment
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = bytes[4 * t];
}

extern "C" __global__ void local_bounds(int wrong, int *out) {
    int t = threadIdx.x, values[8];
    for (int i = 0; i < 8; ++i) values[(i * 3 + t) % 8] = i + t;
    int i = wrong && t % 32 == 5 ? 8 : t % 8;
    out[blockIdx.x * blockDim.x + t] = values[i]; // local_bounds
}

extern "C" __global__ void local_alignment(int wrong, int *out) {
    int t = threadIdx.x, values[8];
    for (int i = 0; i < 8; ++i) values[(i * 3 + t) % 8] = i + t;
    out[blockIdx.x * blockDim.x + t] = *(int *)((char *)values + t % 7 * 4 + wrong); // local_alignment
}

// What nothing has written.

extern "C" __global__ void global_uninitialised(int wrong, const int *x, int *out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = x[i] + wrong; // global_uninitialised
}

extern "C" __global__ void shared_uninitialised(int wrong, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x, n = blockDim.x;
    if (!wrong || t != 7) values[t] = t;
    __syncthreads();
    out[blockIdx.x * n + t] = values[n - 1 - t]; // shared_uninitialised
}

// Races in shared memory.

extern "C" __global__ void race_of_warps(int wrong, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x, n = blockDim.x;
    values[t] = t; // or race_of_warps
    if (!wrong) __syncthreads();
    else __syncwarp();
    out[blockIdx.x * n + t] = values[(t + 32) % n]; // race_of_warps
}

// A value is overwritten while other warps may still want it.
extern "C" __global__ void race_of_reuse(int wrong, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x, n = blockDim.x, sum = 0;
    for (int i = 0; i < 3; ++i) {
        values[t] = t + i; // race_of_reuse
        __syncthreads();
        sum += values[(t + 33) % n]; // or race_of_reuse
        if (!wrong) __syncthreads();
    }
    out[blockIdx.x * n + t] = sum;
}

extern "C" __global__ void race_of_lanes(int wrong, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x;
    values[t] = t; // or race_of_lanes
    if (!wrong) __syncwarp();
    out[blockIdx.x * blockDim.x + t] = values[t ^ 1]; // race_of_lanes
}

// Each half of a warp meets on its own, and then reads what the other half wrote.
extern "C" __global__ void race_of_halves(int wrong, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x;
    values[t] = t; // or race_of_halves
    __syncwarp(t % 32 < 16 ? 0xffff : 0xffff0000);
    out[blockIdx.x * blockDim.x + t] = values[t ^ (wrong ? 16 : 8)]; // race_of_halves
}

extern "C" __global__ void race_of_values(int wrong, int *out) {
    __shared__ int value;
    int t = threadIdx.x;
    if (t < 32) value = wrong ? t : 7; // race_of_values
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = value;
}

// Lanes write one after the other in a loop, each time a different value.
extern "C" __global__ void race_of_rounds(int wrong, int *out) {
    __shared__ int value;
    int t = threadIdx.x;
    if (t < 32)
        for (int i = 0; i < 3 + blockIdx.x; ++i) {
            value = i; // race_of_rounds
            if (!wrong) __syncwarp();
        }
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = value;
}

extern "C" __global__ void race_of_bytes(int wrong, int *out) {
    __shared__ unsigned char values[257];
    int t = threadIdx.x;
    values[t] = t; // or race_of_bytes
    if (wrong) values[t + 1] = t; // race_of_bytes
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = values[t];
}

extern "C" __global__ void race_of_atomics(int wrong, int *out) {
    __shared__ int counts[8];
    int t = threadIdx.x;
    if (t < 8) counts[t] = 0; // or race_of_atomics
    __syncthreads();
    atomicAdd(&counts[t % 8], 1); // or race_of_atomics
    if (!wrong) __syncthreads();
    out[blockIdx.x * blockDim.x + t] = counts[(t + 1) % 8]; // race_of_atomics
}

// By a generic address.
extern "C" __global__ void race_of_pointers(int wrong, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x, n = blockDim.x, at = blockIdx.x * n + t;
    out[at] = t;
    int *p = blockIdx.x % 2 ? out + blockIdx.x * n : values;
    p[t] = t; // or race_of_pointers
    if (!wrong) __syncthreads();
    int v = p[n - 1 - t]; // race_of_pointers
    __syncthreads();
    out[at] = v;
}

// One warp makes, the others take; the barrier that says empty counts or does not.
extern "C" __global__ void race_of_producer(int wrong, int *out) {
    __shared__ int buffer[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, n = blockDim.x, sum = 0;
    for (int i = 0; i < 3; ++i) {
        if (warp == 0) {
            buffer[lane] = i * 32 + lane; // race_of_producer
            asm volatile("bar.arrive 1, %0;" ::"r"(n) : "memory");
            if (!wrong) asm volatile("bar.sync 2, %0;" ::"r"(n) : "memory");
        } else {
            asm volatile("bar.sync 1, %0;" ::"r"(n) : "memory");
            sum += buffer[(lane + warp) % 32]; // or race_of_producer
            if (!wrong) asm volatile("bar.arrive 2, %0;" ::"r"(n) : "memory");
        }
        __syncwarp();
        if (wrong) asm volatile("bar.sync %0, 32;" ::"r"(3 + warp) : "memory");
    }
    out[blockIdx.x * n + threadIdx.x] = sum;
}

// Warps wait for each other by a flag in shared memory.
extern "C" __global__ void race_of_flags(int wrong, int *out) {
    __shared__ int data, flag;
    int t = threadIdx.x;
    if (t == 0) flag = 0;
    __syncthreads();
    if (t == 0) {
        data = 42; // or race_of_flags
        if (!wrong) __threadfence_block();
        *(volatile int *)&flag = 1;
    }
    int v = 42;
    if (t == 32) {
        while (*(volatile int *)&flag == 0) {}
        if (!wrong) __threadfence_block();
        v = data; // race_of_flags
    }
    out[blockIdx.x * blockDim.x + t] = v;
}

// Races between blocks.

extern "C" __global__ void race_of_blocks(int wrong, int *x, int *out) {
    int n = blockDim.x, t = threadIdx.x, block = blockIdx.x;
    x[block * n + t] = t; // race_of_blocks
    if (wrong) block = (block + 1) % gridDim.x;
    out[blockIdx.x * n + t] = x[block * n + t]; // or race_of_blocks
}

// Each block adds its neighbours' values in place; the last one to read a value is its owner.
extern "C" __global__ void race_in_place(int wrong, int *x) {
    int n = blockDim.x * gridDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
    int v = wrong ? x[(i + blockDim.x) % n] : 0; // or race_in_place
    v += x[i];
    __syncthreads();
    x[i] = v; // race_in_place
}

// Bytes at the border of two blocks.
extern "C" __global__ void race_of_borders(int wrong, unsigned char *x) {
    int n = blockDim.x - 1, i = blockIdx.x * n + threadIdx.x;
    if (threadIdx.x < n + wrong) x[i] = i; // race_of_borders
}

__device__ unsigned tickets;

// The last block adds up what all threads of all blocks wrote.
extern "C" __global__ void race_for_last(int wrong, int *x, int *total) {
    __shared__ bool last;
    int n = blockDim.x, t = threadIdx.x;
    x[blockIdx.x * n + t] = t; // or race_for_last
    if (wrong != 1) __threadfence();
    if (wrong != 2) __syncthreads();
    if (t == 0) last = atomicInc(&tickets, gridDim.x - 1) == gridDim.x - 1;
    __syncthreads();
    if (last) {
        __threadfence();
        int sum = 0;
        for (int i = t; i < gridDim.x * n; i += n) sum += x[i]; // race_for_last
        total[t] = sum;
    }
}

// Divergence.

extern "C" __global__ void divergent_barrier(int wrong, int *out) {
    int t = threadIdx.x;
    if (wrong && t % 2) {
        out[t] = 1;
        __syncthreads(); // divergent_barrier
        out[t] = 2;
    }
    __syncthreads(); // or divergent_barrier
    out[blockIdx.x * blockDim.x + t] = t;
}

extern "C" __global__ void barrier_without_all(int wrong, int *out) {
    int t = threadIdx.x, n = blockDim.x;
    if (!wrong || t < n - 32) asm volatile("bar.sync 1, %0;" ::"r"(n) : "memory"); // barrier_without_all
    out[blockIdx.x * n + t] = t;
}

extern "C" __global__ void divergent_shuffle(int wrong, int *out) {
    int t = threadIdx.x, v = t;
    for (int i = 0; i < (wrong ? t % 4 : 3); ++i) v += __shfl_xor_sync(FULL, v, 1); // divergent_shuffle
    v += __shfl_xor_sync(FULL, v, 2); // or divergent_shuffle
    out[blockIdx.x * blockDim.x + t] = v;
}

extern "C" __global__ void divergent_vote(int wrong, int *out) {
    int t = threadIdx.x, v = 0;
    if (t % 32 < 16) v = __any_sync(wrong ? 0xff : 0xffff, t == 3); // divergent_vote
    out[blockIdx.x * blockDim.x + t] = v;
}

extern "C" __global__ void shuffle_from_nobody(int wrong, int *out) {
    int t = threadIdx.x;
    out[blockIdx.x * blockDim.x + t] = t;
    if (t % 32 >= 16) return;
    int v = __shfl_down_sync(0xffff, t, 8, wrong ? 32 : 16); // shuffle_from_nobody
    out[blockIdx.x * blockDim.x + t] = v;
}

// Asynchronous copies.

extern "C" __global__ void stale_copy(int wrong, const int *x, int *out) {
    __shared__ __align__(16) int buffer[2][256];
    int t = threadIdx.x, n = blockDim.x;
    for (int i = 0; i < 2; ++i) {
        unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(&buffer[i][t]));
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(x + i * n + t) : "memory");
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    if (wrong) asm volatile("cp.async.wait_group 1;" ::: "memory");
    else asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    int at = n - 1 - t;
    out[blockIdx.x * n + t] = buffer[0][at] + buffer[1][at]; // stale_copy
}

// The copy is complete, but only the thread that asked for it knows.
extern "C" __global__ void copy_without_barrier(int wrong, const int *x, int *out) {
    __shared__ __align__(16) int buffer[256];
    int t = threadIdx.x, n = blockDim.x;
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(&buffer[t]));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(x + t) : "memory"); // or copy_without_barrier
    asm volatile("cp.async.wait_all;" ::: "memory");
    if (!wrong) __syncthreads();
    out[blockIdx.x * n + t] = buffer[(t + 32) % n]; // copy_without_barrier
}

// The copy goes into a buffer that other warps still read.
extern "C" __global__ void copy_into_use(int wrong, const int *x, int *out) {
    __shared__ __align__(16) int buffer[2][256];
    int t = threadIdx.x, n = blockDim.x, sum = 0;
    auto fetch = [&](int i) {
        unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(&buffer[i % 2][t]));
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(x + i % 2 * n + t) : "memory"); // copy_into_use
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    fetch(0);
    for (int i = 0; i < 5; ++i) {
        fetch(i + 1);
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
        sum += buffer[i % 2][(t + 32) % n]; // or copy_into_use
        if (!wrong) __syncthreads();
    }
    asm volatile("cp.async.wait_all;" ::: "memory");
    out[blockIdx.x * n + t] = sum;
}

// The stack.

__device__ __noinline__ int down(int n, const int *steps) {
    int here[4] = {n, n + 1, n + 2, n + 3};
    if (n == 0) return steps[0];
    return down(n - steps[0], steps) + here[steps[0] * n % 4]; // endless_recursion
}

extern "C" __global__ void endless_recursion(int wrong, const int *steps, int *out) {
    int t = threadIdx.x;
    out[blockIdx.x * blockDim.x + t] = wrong ? down(-1 - t, steps) : down(t % 5, steps);
}

// Right, and hard to see.

// Lanes of a warp that wait for each other: the lock is given back where they would meet.
extern "C" __global__ void lock_by_lane(int *lock, volatile int *counter, int *out) {
    int t = threadIdx.x;
    while (atomicCAS(lock, 0, 1) != 0) {}
    __threadfence();
    int n = *counter;
    *counter = n + 1;
    __threadfence();
    atomicExch(lock, 0);
    out[blockIdx.x * blockDim.x + t] = n;
}

// One lane waits for another, which has long left the branch.
extern "C" __global__ void wait_by_lane(volatile int *flags, int *out) {
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    if (t % 2 == 0)
        while (flags[i + 1] == 0) {}
    __threadfence();
    if (t % 2 == 1) flags[i] = t;
    out[i] = t % 2 ? t : flags[i + 1];
}

__device__ __noinline__ int climb(int n, int t) {
    if (n <= 0) return t;
    if ((n + t) % 3 == 0) return climb(n - 1, t) + 1;
    int left = climb(n - 2, t + 1);
    if (left % 2) return left;
    return left + climb(n - 1, t + 2);
}

// Lanes part in a function, some return early, and those that are left call on.
extern "C" __global__ void recursion_apart(int *out) {
    int t = threadIdx.x;
    out[blockIdx.x * blockDim.x + t] = climb(t % 9, t);
}

__device__ __noinline__ int wait_and_call(int n, int t, volatile int *flags) {
    if (t % 2 == 0) {
        while (flags[t + 1] == 0) {}
        __threadfence();
        return climb(n, t) + flags[t + 1];
    }
    int v = climb(n + 1, t);
    __threadfence();
    flags[t] = 1;
    return v + climb(n, t + 1);
}

// The same, and lanes return from a function at different times because they wait for each other.
extern "C" __global__ void returns_apart(volatile int *flags, int *out) {
    int t = threadIdx.x;
    int v = wait_and_call(t % 7, t, flags);
    out[t] = v + climb(t % 4, v % 5);
}

// Some return before the barrier, whole warps and parts of one.
extern "C" __global__ void return_before_barrier(int n, int *out) {
    __shared__ int values[256];
    int t = threadIdx.x;
    out[blockIdx.x * blockDim.x + t] = -1;
    if (t >= n) return;
    values[t] = t;
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = values[n - 1 - t];
}

// Sums by compare-and-swap, which begins with a plain read.
extern "C" __global__ void swap_sum(float *total, int *out) {
    __shared__ float sum;
    int t = threadIdx.x;
    if (t == 0) sum = 0;
    __syncthreads();
    for (int pass = 0; pass < 2; ++pass) {
        unsigned *at = (unsigned *)(pass ? total : &sum), old = *at, seen;
        do {
            seen = old;
            old = atomicCAS(at, seen, __float_as_uint(__uint_as_float(seen) + 1));
        } while (old != seen);
    }
    __syncthreads();
    out[blockIdx.x * blockDim.x + t] = sum;
}

// Warps count themselves in shared memory; the last one adds up.
extern "C" __global__ void last_warp(int *out) {
    __shared__ int parts[8];
    __shared__ int done;
    int t = threadIdx.x, warps = blockDim.x / 32;
    if (t == 0) done = 0;
    __syncthreads();
    if (t % 32 == 0) {
        parts[t / 32] = t;
        __threadfence_block();
        if (atomicAdd(&done, 1) == warps - 1) {
            __threadfence_block();
            int sum = 0;
            for (int i = 0; i < warps; ++i) sum += parts[i];
            out[blockIdx.x] = sum;
        }
    }
}
