// Barriers of some threads, and blocks that wait for each other.

#include <cuda_runtime.h>

__device__ void wait(int barrier, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory"); }
__device__ void arrive(int barrier, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory"); }

// Warp 0 makes values, the other warps use them; two buffers, each with a barrier that says full and one that says empty.
extern "C" __global__ void producer_consumer(int rounds, const int *x, int *out) {
    __shared__ int buffer[2][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, n = blockDim.x;
    if (warp == 0) {
        for (int i = 0; i < rounds; ++i) {
            if (i >= 2) wait(3 + i % 2, n);
            buffer[i % 2][lane] = x[i * 32 + lane] * 2;
            __threadfence_block();
            arrive(1 + i % 2, n);
        }
    } else {
        int sum = 0;
        for (int i = 0; i < rounds; ++i) {
            wait(1 + i % 2, n);
            sum += buffer[i % 2][(lane + warp) % 32] * (i + 1);
            if (i + 2 < rounds) arrive(3 + i % 2, n);
        }
        out[threadIdx.x - 32] = sum;
    }
}

// Two halves of the block, each with its own barrier and its own number of rounds.
extern "C" __global__ void halves(int *out) {
    __shared__ int values[128];
    int t = threadIdx.x, half = t / 64, base = half * 64, rounds = half ? 7 : 3;
    values[t] = t;
    for (int i = 0; i < rounds; ++i) {
        wait(1 + half, 64);
        int v = values[base + (t + 1) % 64];
        wait(1 + half, 64);
        values[t] = v + 1;
    }
    __syncthreads();
    out[t] = values[127 - t];
}

// All blocks at once: each waits until all have come, round after round.
extern "C" __global__ void grid_barrier(int rounds, unsigned *arrived, volatile int *values, int *out) {
    int t = threadIdx.x, next = (blockIdx.x + 1) % gridDim.x;
    int v = blockIdx.x * 100;
    for (int i = 0; i < rounds; ++i) {
        if (t == 0) {
            values[i * gridDim.x + blockIdx.x] = v;
            __threadfence();
            atomicAdd(arrived, 1u);
            while (*(volatile unsigned *)arrived < (i + 1) * gridDim.x) {}
            __threadfence();
            v = values[i * gridDim.x + next] + 1;
        }
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = v;
}

// A message from block to block by a flag, with the instructions that say so.
extern "C" __global__ void message(int *data, int *flag, int *out) {
    if (threadIdx.x != 0) return;
    if (blockIdx.x == 0) {
        *data = 42;
        asm volatile("st.release.gpu.global.s32 [%0], 1;" ::"l"(flag) : "memory");
    } else {
        int seen = 0;
        while (!seen) asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
        out[blockIdx.x] = *(volatile int *)data + blockIdx.x;
    }
}

// Asynchronous copies in groups and of all sizes.
extern "C" __global__ void async_copies(const char *from, char *to) {
    __shared__ __align__(16) char buffer[3][32 * 16];
    int t = threadIdx.x;
    auto address = [](const void *p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); };
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(address(&buffer[0][t * 4])), "l"(from + t * 4) : "memory");
    asm volatile("cp.async.commit_group;");
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(address(&buffer[1][t * 8])), "l"(from + t * 8) : "memory");
    asm volatile("cp.async.commit_group;");
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(&buffer[2][t * 16])), "l"(from + t * 16), "r"(t % 17)
                 : "memory");
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    for (int i = 0; i < 4; ++i) to[t * 4 + i] = buffer[0][127 - (t * 4 + i)];
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    for (int i = 0; i < 8; ++i) to[128 + t * 8 + i] = buffer[1][255 - (t * 8 + i)];
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    for (int i = 0; i < 16; ++i) to[384 + t * 16 + i] = buffer[2][511 - (t * 16 + i)];
}
