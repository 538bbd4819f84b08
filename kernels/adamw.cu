// The update of all parameters in one launch, their averages, and the bound on a parameter.
#include "common.cuh"
#include "update.cuh"

constexpr int BLOCK = 256;
// Elements that a block takes at a time.
constexpr int CHUNK = 4096;

struct AdamW {
    const Update* update;
    const float* verdict;
    size_t len;
    // Ranges that decay, first element and length, in the order of memory.
    uint32_t ranges;
    const uint2* decayed;
    float* w;
    bf16* shadow;
    const float* g;
    float* m;
    float* v;
};

// Computes:      with g' = verdict[2] g: m = b1 m + (1 - b1) g', v = b2 v + (1 - b2) g'^2,
//                w = kept w - step_size m / (sqrt(fix2 v) + eps), kept only where w decays; shadow = w in bf16
// Shapes:        w, g, m, v: [len] f32; shadow: [len] bf16; len a multiple of 16, as is every range's bound
// Grid, Block:   ceil(len / 4096) blocks of 256; 4 bytes of shared memory
// Alignment:     16 bytes
// Aliasing:      none
// Writes:        w, shadow, m, v, unless verdict[1] is 0
// Deterministic: yes
// Called by:     ops::adamw::cuda::step
extern "C" __global__ void __launch_bounds__(BLOCK) adamw_f32(const AdamW a) {
    if (a.verdict[1] == 0.0f) return;
    __shared__ uint32_t shared_first;
    const size_t start = size_t(blockIdx.x) * CHUNK;
    if (threadIdx.x == 0) {
        // The first range that ends behind the chunk's start: the later elements look on from there.
        uint32_t low = 0, high = a.ranges;
        while (low < high) {
            uint32_t mid = (low + high) / 2;
            uint2 range = a.decayed[mid];
            if (size_t(range.x) + range.y <= start) {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        shared_first = low;
    }
    __syncthreads();
    uint32_t range = shared_first;
    const Update u = *a.update;
    const float scale = a.verdict[2];
#pragma unroll
    for (int k = 0; k < CHUNK / (4 * BLOCK); ++k) {
        const size_t i = start + size_t(k * BLOCK + threadIdx.x) * 4;
        if (i >= a.len) return;
        uint2 bounds = make_uint2(0xffffffffu, 0);
        while (range < a.ranges) {
            bounds = a.decayed[range];
            if (i < size_t(bounds.x) + bounds.y) break;
            ++range;
        }
        const float kept = range < a.ranges && i >= bounds.x ? u.kept : 1.0f;
        float4 w = *reinterpret_cast<const float4*>(a.w + i);
        float4 g = *reinterpret_cast<const float4*>(a.g + i);
        float4 m = *reinterpret_cast<const float4*>(a.m + i);
        float4 v = *reinterpret_cast<const float4*>(a.v + i);
        auto step = [&](float& w, float g, float& m, float& v) {
            g *= scale;
            m = u.beta1 * m + u.one_minus_beta1 * g;
            v = u.beta2 * v + u.one_minus_beta2 * g * g;
            w = kept * w - u.step_size * m / (sqrtf(v * u.fix2) + u.eps);
        };
        step(w.x, g.x, m.x, v.x);
        step(w.y, g.y, m.y, v.y);
        step(w.z, g.z, m.z, v.z);
        step(w.w, g.w, m.w, v.w);
        *reinterpret_cast<float4*>(a.w + i) = w;
        *reinterpret_cast<float4*>(a.m + i) = m;
        *reinterpret_cast<float4*>(a.v + i) = v;
        bf162 half[2] = {__floats2bfloat162_rn(w.x, w.y), __floats2bfloat162_rn(w.z, w.w)};
        *reinterpret_cast<uint2*>(a.shadow + i) = *reinterpret_cast<const uint2*>(half);
    }
}

struct Average {
    const Update* update;
    const float* verdict;
    size_t len;
    float* ema;
    const float* w;
};

// Computes:      ema += (1 - decay) (w - ema)
// Shapes:        ema, w: [len] f32, len a multiple of 16
// Grid, Block:   ceil(len / 1024) blocks of 256; no shared memory
// Alignment:     16 bytes
// Aliasing:      none
// Writes:        ema, unless verdict[1] is 0
// Deterministic: yes
// Called by:     ops::adamw::cuda::average
extern "C" __global__ void __launch_bounds__(BLOCK) adamw_average_f32(const Average a) {
    size_t i = (size_t(blockIdx.x) * BLOCK + threadIdx.x) * 4;
    if (a.verdict[1] == 0.0f || i >= a.len) return;
    const float part = a.update->one_minus_ema_decay;
    float4 e = *reinterpret_cast<const float4*>(a.ema + i), w = *reinterpret_cast<const float4*>(a.w + i);
    e.x += part * (w.x - e.x);
    e.y += part * (w.y - e.y);
    e.z += part * (w.z - e.z);
    e.w += part * (w.w - e.w);
    *reinterpret_cast<float4*>(a.ema + i) = e;
}

struct Clamp {
    uint32_t len;
    float max;
    float* w;
    bf16* shadow;
};

// Computes:      w = min(w, max), shadow = w in bf16
// Shapes:        w: [len] f32; shadow: [len] bf16
// Grid, Block:   ceil(len / 256) blocks of 256; no shared memory
// Writes:        w, shadow
// Deterministic: yes
// Called by:     ops::adamw::cuda::clamp
extern "C" __global__ void __launch_bounds__(BLOCK) adamw_clamp_f32(const Clamp a) {
    uint32_t i = blockIdx.x * BLOCK + threadIdx.x;
    if (i >= a.len) return;
    float w = fminf(a.w[i], a.max);
    a.w[i] = w;
    a.shadow[i] = __float2bfloat16(w);
}
