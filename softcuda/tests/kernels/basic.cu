// The textbook kernels: element-wise, reductions, scans, transpose, histogram, matrix product, softmax, layernorm.

#include <cuda_runtime.h>

extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i] + y[i];
}

// Any grid covers any length.
extern "C" __global__ void saxpy_strided(int n, float a, const float *__restrict__ x, float *__restrict__ y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = fmaf(a, x[i], y[i]);
}

// Four elements at a time, the rest one by one.
extern "C" __global__ void scale_vector(int n, float a, float *x) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * i + 3 < n) {
        float4 v = reinterpret_cast<float4 *>(x)[i];
        v.x *= a, v.y *= a, v.z *= a, v.w *= a;
        reinterpret_cast<float4 *>(x)[i] = v;
    } else {
        for (int j = 4 * i; j < n; ++j) x[j] *= a;
    }
}

__device__ float warp_sum(float v) {
    for (int offset = 16; offset > 0; offset /= 2) v += __shfl_down_sync(0xffffffff, v, offset);
    return v;
}

__device__ float warp_max(float v) {
    for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffff, v, offset));
    return v;
}

// Sums of each block's elements: within warps by shuffles, across them through shared memory. Whole warps only.
extern "C" __global__ void block_sums_shuffle(int n, const float *x, float *sums) {
    __shared__ float partial[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float v = warp_sum(i < n ? x[i] : 0.0f);
    if (lane == 0) partial[warp] = v;
    __syncthreads();
    if (warp == 0) {
        v = warp_sum(lane < blockDim.x / 32 ? partial[lane] : 0.0f);
        if (lane == 0) sums[blockIdx.x] = v;
    }
}

// The same with a tree in dynamic shared memory; a power of two of threads.
extern "C" __global__ void block_sums_tree(int n, const float *x, float *sums) {
    extern __shared__ float tree[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tree[threadIdx.x] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) tree[threadIdx.x] += tree[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = tree[0];
}

// Inclusive scan of one block's elements, after Hillis and Steele, two buffers in dynamic shared memory.
extern "C" __global__ void scan_two_buffers(int n, const int *x, int *y) {
    extern __shared__ int buffers[];
    int *from = buffers, *to = buffers + blockDim.x;
    int t = threadIdx.x;
    from[t] = t < n ? x[t] : 0;
    __syncthreads();
    for (int distance = 1; distance < blockDim.x; distance *= 2) {
        to[t] = t >= distance ? from[t] + from[t - distance] : from[t];
        __syncthreads();
        int *other = from;
        from = to, to = other;
    }
    if (t < n) y[t] = from[t];
}

// Inclusive scan of any length by one block: warps by shuffles, their sums by the first warp, a carry from chunk to chunk.
extern "C" __global__ void scan_warps(int n, const int *x, int *y) {
    __shared__ int sums[32];
    __shared__ int carry;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    if (threadIdx.x == 0) carry = 0;
    for (int start = 0; start < n; start += blockDim.x) {
        int i = start + threadIdx.x;
        int v = i < n ? x[i] : 0;
        for (int distance = 1; distance < 32; distance *= 2) {
            int other = __shfl_up_sync(0xffffffff, v, distance);
            if (lane >= distance) v += other;
        }
        if (lane == 31) sums[warp] = v;
        __syncthreads();
        if (warp == 0) {
            int s = lane < warps ? sums[lane] : 0;
            for (int distance = 1; distance < 32; distance *= 2) {
                int other = __shfl_up_sync(0xffffffff, s, distance);
                if (lane >= distance) s += other;
            }
            sums[lane] = s;
        }
        __syncthreads();
        v += carry + (warp > 0 ? sums[warp - 1] : 0);
        if (i < n) y[i] = v;
        __syncthreads();
        if (threadIdx.x == blockDim.x - 1) carry = v;
        __syncthreads();
    }
}

// Tiles of 32 x 32, the column of padding avoids bank conflicts. Blocks of 32 x 8.
extern "C" __global__ void transpose(int rows, int columns, const float *x, float *y) {
    __shared__ float tile[32][33];
    int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    for (int j = 0; j < 32; j += 8)
        if (column < columns && row + j < rows) tile[threadIdx.y + j][threadIdx.x] = x[(row + j) * columns + column];
    __syncthreads();
    column = blockIdx.y * 32 + threadIdx.x, row = blockIdx.x * 32 + threadIdx.y;
    for (int j = 0; j < 32; j += 8)
        if (column < rows && row + j < columns) y[(row + j) * rows + column] = tile[threadIdx.x][threadIdx.y + j];
}

extern "C" __global__ void histogram(int n, const unsigned char *x, unsigned *counts) {
    __shared__ unsigned local[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local[x[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        if (local[i]) atomicAdd(&counts[i], local[i]);
}

// C = A B, row-major, 16 x 16 tiles.
extern "C" __global__ void gemm_tiled(int m, int n, int k, const float *a, const float *b, float *c) {
    __shared__ float as[16][16], bs[16][16];
    int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
    float sum = 0;
    for (int start = 0; start < k; start += 16) {
        as[threadIdx.y][threadIdx.x] = row < m && start + threadIdx.x < k ? a[row * k + start + threadIdx.x] : 0;
        bs[threadIdx.y][threadIdx.x] = start + threadIdx.y < k && column < n ? b[(start + threadIdx.y) * n + column] : 0;
        __syncthreads();
        for (int i = 0; i < 16; ++i) sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
        __syncthreads();
    }
    if (row < m && column < n) c[row * n + column] = sum;
}

// A warp per row, maximum and sum in one pass.
extern "C" __global__ void softmax(int rows, int columns, const float *x, float *y) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += row * columns, y += row * columns;
    float top = -INFINITY, sum = 0;
    for (int i = lane; i < columns; i += 32) {
        float v = x[i], higher = fmaxf(top, v);
        sum = sum * __expf(top - higher) + __expf(v - higher);
        top = higher;
    }
    float highest = warp_max(top);
    sum = warp_sum(top == -INFINITY ? 0.0f : sum * __expf(top - highest));
    sum = __shfl_sync(0xffffffff, sum, 0);
    for (int i = lane; i < columns; i += 32) y[i] = __expf(x[i] - highest) / sum;
}

// A block per row.
extern "C" __global__ void layernorm(int columns, float epsilon, const float *x, const float *gain, const float *bias, float *y) {
    __shared__ float partial[2][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    x += blockIdx.x * columns, y += blockIdx.x * columns;
    float sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += x[i];
    sum = warp_sum(sum);
    if (lane == 0) partial[0][warp] = sum;
    __syncthreads();
    float mean = 0;
    for (int i = 0; i < warps; ++i) mean += partial[0][i];
    mean /= columns;
    sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += (x[i] - mean) * (x[i] - mean);
    sum = warp_sum(sum);
    if (lane == 0) partial[1][warp] = sum;
    __syncthreads();
    float variance = 0;
    for (int i = 0; i < warps; ++i) variance += partial[1][i];
    float scale = rsqrtf(variance / columns + epsilon);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) y[i] = (x[i] - mean) * scale * gain[i] + bias[i];
}

__device__ unsigned finished = 0;

// One launch: the block that ends last adds the sums of all.
extern "C" __global__ void sum_last_block(int n, const float *x, volatile float *sums, float *total) {
    __shared__ float partial[32];
    __shared__ bool last;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    float v = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
    v = warp_sum(v);
    if (lane == 0) partial[warp] = v;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < warps; ++i) v += partial[i];
        sums[blockIdx.x] = v;
        __threadfence();
        last = atomicInc(&finished, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        __threadfence();
        float all = 0;
        for (int i = 0; i < gridDim.x; ++i) all += sums[i];
        *total = all;
    }
}
