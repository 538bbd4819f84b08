// Arithmetic of all widths, bit tricks, half precision. Inputs come from the host so that the compiler folds nothing.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define ID (blockIdx.x * blockDim.x + threadIdx.x)

extern "C" __global__ void integers64(const long long *a, const long long *b, long long *out) {
    int t = ID;
    long long x = a[t], y = b[t], *o = out + t * 16;
    unsigned long long u = x, v = y;
    o[0] = x + y, o[1] = x - y, o[2] = x * y, o[3] = __mul64hi(x, y), o[4] = __umul64hi(u, v);
    o[5] = y ? x / y : 0, o[6] = y ? x % y : 0, o[7] = v ? u / v : 0, o[8] = v ? u % v : 0;
    o[9] = x >> (v & 63), o[10] = u >> (v & 63), o[11] = u << (v & 63);
    o[12] = (x & y) ^ (x | ~y), o[13] = x < y, o[14] = u < v, o[15] = min(x, y) ^ max(u, v);
}

extern "C" __global__ void integers32(const int *a, const int *b, const int *c, int *out) {
    int t = ID, x = a[t], y = b[t], z = c[t], *o = out + t * 24;
    unsigned u = x, v = y, w = z;
    o[0] = x + y * z, o[1] = __mulhi(x, y), o[2] = __umulhi(u, v), o[3] = y && !(x == -2147483647 - 1 && y == -1) ? x / y : 0;
    o[4] = y && y != -1 ? x % y : 0, o[5] = v ? u / v : 0, o[6] = v ? u % v : 0;
    o[7] = x >> (w & 31), o[8] = u >> (w & 31), o[9] = u << (w & 31), o[10] = abs(x), o[11] = __sad(x, y, w), o[12] = __usad(u, v, w);
    o[13] = min(x, y), o[14] = max(u, v), o[15] = __mul24(x, y), o[16] = __hadd(x, y), o[17] = __uhadd(u, v), o[18] = __rhadd(x, y);
    long long wide = (long long)x * y + z;
    o[19] = wide, o[20] = wide >> 32;
    unsigned long long uwide = (unsigned long long)u * v;
    o[21] = uwide >> 32, o[22] = (short)x * (short)y + z, o[23] = (signed char)x - (unsigned char)y;
}

extern "C" __global__ void bits(const unsigned *a, const unsigned *b, const unsigned *c, unsigned *out) {
    int t = ID;
    unsigned x = a[t], y = b[t], z = c[t], *o = out + t * 24;
    unsigned long long wide = (unsigned long long)x << 32 | y;
    o[0] = __popc(x), o[1] = __clz(x), o[2] = __brev(x), o[3] = __ffs(x), o[4] = __popcll(wide), o[5] = __clzll(wide);
    o[6] = __brevll(wide), o[7] = __ffsll(wide), o[8] = __funnelshift_l(x, y, z), o[9] = __funnelshift_r(x, y, z);
    o[10] = __funnelshift_lc(x, y, z & 63), o[11] = __funnelshift_rc(x, y, z & 63), o[12] = __byte_perm(x, y, z);
    o[13] = __dp4a((int)x, (int)y, (int)z), o[14] = __dp4a(x, y, z), o[15] = __dp2a_lo((int)x, (int)y, (int)z);
    o[16] = __dp2a_hi(x, y, z), o[17] = __vadd4(x, y), o[18] = __vmaxs2(x, y), o[19] = __vcmpgtu4(x, y);
    unsigned field, inserted, found;
    asm("bfe.u32 %0, %1, %2, %3;" : "=r"(field) : "r"(x), "r"(z & 31), "r"(y & 31));
    o[20] = field;
    int signed_field;
    asm("bfe.s32 %0, %1, %2, %3;" : "=r"(signed_field) : "r"(x), "r"(z & 31), "r"(y & 31));
    o[21] = signed_field;
    asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(inserted) : "r"(x), "r"(y), "r"(z & 31), "r"((z >> 8) & 31));
    o[22] = inserted;
    asm("bfind.u32 %0, %1;" : "=r"(found) : "r"(x));
    asm("lop3.b32 %0, %1, %2, %3, 0xca;" : "=r"(o[23]) : "r"(x), "r"(y), "r"(z));
    o[23] += found;
}

// Rounded correctly, as IEEE 754 has it.
extern "C" __global__ void doubles(const double *a, const double *b, const double *c, double *out) {
    int t = ID;
    double x = a[t], y = b[t], z = c[t], *o = out + t * 20;
    o[0] = x + y, o[1] = x - y, o[2] = __dmul_rn(x, y), o[3] = fma(x, y, z), o[4] = x / y, o[5] = sqrt(fabs(x)), o[6] = 1 / x;
    o[7] = fmin(x, y), o[8] = fmax(x, y), o[9] = floor(x), o[10] = ceil(x), o[11] = trunc(x), o[12] = rint(x), o[13] = (float)x;
    o[14] = (long long)x, o[15] = (unsigned)fabs(x), o[16] = __double2int_rd(x), o[17] = x < y, o[18] = (double)(long long)(z * 1e6);
    o[19] = copysign(x, y);
}

extern "C" __global__ void floats(const float *a, const float *b, const float *c, float *out) {
    int t = ID;
    float x = a[t], y = b[t], z = c[t], *o = out + t * 28;
    o[0] = x + y, o[1] = x - y, o[2] = __fmul_rn(x, y), o[3] = fmaf(x, y, z), o[4] = x / y, o[5] = sqrtf(fabsf(x)), o[6] = __frcp_rn(x);
    o[7] = fminf(x, y), o[8] = fmaxf(x, y), o[9] = floorf(x), o[10] = ceilf(x), o[11] = truncf(x), o[12] = rintf(x), o[13] = roundf(x);
    o[14] = __fadd_rz(x, y), o[15] = __fadd_ru(x, y), o[16] = __fmul_rd(x, y), o[17] = __fmaf_rz(x, y, z);
    o[18] = (int)x, o[19] = (unsigned)fabsf(x), o[20] = __float2int_rn(x), o[21] = __float2int_ru(x);
    o[22] = (float)(int)(y * 1000), o[23] = (float)(unsigned long long)fabsf(z * 1e12f), o[24] = __saturatef(x), o[25] = (double)x * y;
    o[26] = isnan(x) + 2 * isinf(y) + 4 * signbit(z), o[27] = fabsf(-x) - copysignf(y, z);
}

// Approximate, or long: within some units of the last place.
extern "C" __global__ void functions(const float *a, float *out) {
    int t = ID;
    float x = a[t], *o = out + t * 20;
    o[0] = expf(x), o[1] = logf(fabsf(x)), o[2] = exp2f(x), o[3] = log2f(fabsf(x)), o[4] = sinf(x), o[5] = cosf(x), o[6] = tanhf(x);
    o[7] = erff(x), o[8] = rsqrtf(fabsf(x)), o[9] = powf(fabsf(x), 1.7f), o[10] = __expf(x), o[11] = __logf(fabsf(x)), o[12] = __sinf(x);
    o[13] = __fdividef(x, 3.0f), o[14] = cbrtf(x), o[15] = atan2f(x, 2.0f), o[16] = (float)exp((double)x), o[17] = (float)log(fabs((double)x));
    o[18] = fmodf(x, 0.75f), o[19] = sinf(x * 10000);
}

extern "C" __global__ void halves(const __half *a, const __half *b, const __half *c, __half *out) {
    int t = ID;
    __half x = a[t], y = b[t], z = c[t], *o = out + t * 16;
    __half2 xy = __halves2half2(x, y), zx = __halves2half2(z, x), yz = __halves2half2(y, z);
    __half2 sum = __hadd2(xy, zx), product = __hmul2(xy, zx), fused = __hfma2(xy, zx, yz), high = __hmax2(xy, zx), low = __hmin2(xy, zx);
    o[0] = __low2half(sum), o[1] = __high2half(sum), o[2] = __low2half(product), o[3] = __high2half(product), o[4] = __low2half(fused);
    o[5] = __high2half(fused), o[6] = __low2half(high), o[7] = __high2half(low), o[8] = __hsub(x, y), o[9] = __hneg(z), o[10] = __habs(z);
    o[11] = __float2half_rn(__half2float(x) * 1.0001f), o[12] = __int2half_rn(__half2int_rn(x)), o[13] = __hlt(x, y) ? x : y;
    o[14] = __float2half_rz(__half2float(y) * 1.0003f), o[15] = __heq(x, x) ? __hfma(x, y, z) : z;
}

extern "C" __global__ void bfloats(const __nv_bfloat16 *a, const __nv_bfloat16 *b, const __nv_bfloat16 *c, __nv_bfloat16 *out) {
    int t = ID;
    __nv_bfloat16 x = a[t], y = b[t], z = c[t], *o = out + t * 12;
    __nv_bfloat162 fused = __hfma2(__halves2bfloat162(x, y), __halves2bfloat162(z, x), __halves2bfloat162(y, z));
    o[0] = __low2bfloat16(fused), o[1] = __high2bfloat16(fused), o[2] = __hadd(x, y), o[3] = __hmul(x, z), o[4] = __hmax(x, y);
    o[5] = __hmin(x, z), o[6] = __float2bfloat16_rn(__bfloat162float(x) * 1.001f), o[7] = __float2bfloat16_rz(__bfloat162float(y) * 1.003f);
    __nv_bfloat162 two = __floats2bfloat162_rn(__bfloat162float(x) / 3, __bfloat162float(y) / 7);
    o[8] = __low2bfloat16(two), o[9] = __high2bfloat16(two), o[10] = __hneg(x), o[11] = __hgt(x, y) ? z : x;
}
