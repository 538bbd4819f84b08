// The settings of an update. Mirrors backend::cuda::args::DeviceUpdate.
#pragma once

struct Update {
    float step_size;
    float beta1;
    float beta2;
    float one_minus_beta1;
    float one_minus_beta2;
    float fix2;
    float eps;
    float kept;
    float clip_norm;
    float max_loss;
    float max_grad_norm;
    float one_minus_ema_decay;
};
