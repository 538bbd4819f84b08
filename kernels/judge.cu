// Whether an update is made: src/ops/judge/reference.rs.
#include "common.cuh"
#include "update.cuh"

constexpr int MOST_LOSSES = 8;

struct Judge {
    const Update* update;
    uint32_t losses;
    float weights[MOST_LOSSES];
    const float* totals;
    const float* norm;
    float* verdict;
};

// Computes:      verdict = {total loss, 1 if the update is made else 0, factor on the gradient}
// Shapes:        totals: [losses, 3]; norm: [1]; verdict: [3]; all f32
// Grid, Block:   1 thread
// Writes:        verdict
// Deterministic: yes
// Called by:     ops::judge::cuda::run
extern "C" __global__ void __launch_bounds__(32) judge_f32(const Judge a) {
    if (threadIdx.x != 0) return;
    double loss = 0.0;
    for (uint32_t i = 0; i < a.losses; ++i) {
        float above = a.totals[3 * i], below = a.totals[3 * i + 1];
        if (below > 0.0f && a.weights[i] != 0.0f) loss += double(a.weights[i]) * (double(above) / double(below));
    }
    const Update& u = *a.update;
    float norm = *a.norm;
    bool sound = isfinite(loss) && isfinite(norm) && norm <= u.max_grad_norm && loss <= double(u.max_loss);
    bool clip = u.clip_norm > 0.0f && norm > u.clip_norm;
    a.verdict[0] = float(loss);
    a.verdict[1] = sound ? 1.0f : 0.0f;
    a.verdict[2] = clip ? u.clip_norm / norm : 1.0f;
}
