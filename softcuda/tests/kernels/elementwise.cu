// Elementwise kernels as a training step has them.

// AdamW over all parameters, decoupled weight decay; the gradients are scaled by the clip factor that `scale` points to.
extern "C" __global__ void adamw(int n, float *w, const float *g, float *m, float *v, const float *scale, float lr, float beta1,
                                 float beta2, float c1, float c2, float epsilon, float decay) {
    float s = *scale;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        float x = g[i] * s;
        float m1 = m[i] = beta1 * m[i] + (1 - beta1) * x;
        float v1 = v[i] = beta2 * v[i] + (1 - beta2) * x * x;
        w[i] -= lr * (m1 * c1 / (sqrtf(v1 * c2) + epsilon) + decay * w[i]);
    }
}

// y = GELU(x + bias), the tanh form, four elements a thread; `columns` a multiple of 4.
extern "C" __global__ void bias_gelu(int n, int columns, const float4 *x, const float *bias, float4 *y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n / 4) return;
    auto gelu = [](float x) { return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); };
    float4 a = x[i], b = *reinterpret_cast<const float4 *>(bias + i * 4 % columns);
    y[i] = {gelu(a.x + b.x), gelu(a.y + b.y), gelu(a.z + b.z), gelu(a.w + b.w)};
}
