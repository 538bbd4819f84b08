// Tensor cores through the C++ interface, whose fragments are the compiler's own: wmma.load, wmma.mma, wmma.store.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

using namespace nvcuda;

// C [16 x 16] = A [16 x k] B [k x 16], row-major, one warp, k a multiple of 16.
template <typename T> __device__ void tile(int k, const T *a, const T *b, float *c) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> af;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::row_major> bf;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> cf;
    wmma::fill_fragment(cf, 0.5f);
    for (int start = 0; start < k; start += 16) {
        wmma::load_matrix_sync(af, a + start, k);
        wmma::load_matrix_sync(bf, b + start * 16, 16);
        wmma::mma_sync(cf, af, bf, cf);
    }
    for (int i = 0; i < cf.num_elements; ++i) cf.x[i] *= 2;
    wmma::store_matrix_sync(c, cf, 16, wmma::mem_row_major);
}

extern "C" __global__ void wmma_bf16(int k, const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c) { tile(k, a, b, c); }
extern "C" __global__ void wmma_f16(int k, const __half *a, const __half *b, float *c) { tile(k, a, b, c); }
