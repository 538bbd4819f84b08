//! The objective: losses over batches, their gradients, the update of the parameters.
//!
//! Every loss has a numerator and a denominator. Both are summed over the micro-batches of a step
//! before they divide, so neither gradient accumulation nor the mix of regimes changes the gradient.

mod config;
mod contrast;
mod flops;
mod io;
mod program;
mod state;
mod sums;

pub use config::{LossConfig, PatchLoss, PatchTarget};
pub use flops::forward_flops;
pub use state::Kept;
pub use sums::LossSums;

use crate::autograd::PlanError;
use crate::backend::{AdamW, Backend, BackendError, Count, DecayRange, Floats, Run, Sizes, Space};
use crate::data::{Batch, Caps};
use crate::model::{Inputs, ModelConfig, Params, Pixels};
use contrast::{Contrast, Place};
use io::Io;
use program::Program;

/// The temperature is not allowed under 1/100 (CLIP, Radford et al. 2021).
const MAX_LOG_INV_TAU: f64 = 4.605_170_185_988_092;

/// Why a step or a plan failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The recorded program is wrong: a fault of the engine, not of its input.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A batch is larger than the plan.
    #[error("a batch holds {found} {what}, but the plan has room for {cap}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// The capacity.
        cap: usize,
    },
    /// No parameter of that name and length.
    #[error("the model has no parameter `{name}` of {len} numbers")]
    NoSuchParam {
        /// The name asked for.
        name: String,
        /// The length given.
        len: usize,
    },
}

/// What an objective is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The model.
    pub model: ModelConfig,
    /// The losses.
    pub loss: LossConfig,
    /// The largest micro-batch.
    pub caps: Caps,
    /// Normalisation of the pixels.
    pub pixels: Pixels,
    /// Most micro-batches of a step.
    pub micro_batches: usize,
    /// Labels of a record, for soft targets.
    pub labels: usize,
    /// Seed of the initial parameters and of dropout.
    pub seed: u64,
    /// Whether gradients and moments are allocated.
    pub train: bool,
    /// Whether averaged parameters are kept.
    pub ema: bool,
}

/// Settings of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// Number of this update, from 1.
    pub step: u64,
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Largest gradient norm; 0 for no clipping.
    pub clip_norm: f64,
    /// Decay of the averaged parameters, if they are kept.
    pub ema_decay: f64,
    /// The update is skipped if the loss is not finite or over this; infinity for no limit.
    pub max_loss: f64,
    /// The update is skipped if the gradient norm is not finite or over this; infinity for no limit.
    pub max_grad_norm: f64,
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepStats {
    /// Sums of every loss over all micro-batches.
    pub sums: LossSums,
    /// The weighted total.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Whether the update was left out.
    pub skipped: bool,
    /// Useful arithmetic, forward and backward.
    pub flops: f64,
}

/// What the model fills in for what was masked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Scale by scale, in the order of `hid_*`: normalised pixels. `[H, p * p]`
    pub mvm: Vec<Vec<f32>>,
    /// The most likely id of each masked piece. `[M]`
    pub mlm_top: Vec<u32>,
    /// Matching logit of each matching sample. `[K]`
    pub itm: Vec<f32>,
    /// Pooled states. `[G, C]`
    pub pooled: Vec<f32>,
}

/// Model, losses, device and optimiser state as one.
pub struct Objective {
    setup: Setup,
    params: Params,
    inputs: Inputs,
    slots: Io,
    program: Program,
    contrast: Option<Contrast>,
    device: Box<dyn Backend>,
    sizes: Sizes,
    targets: Vec<u8>,
    places: Vec<Place>,
    ranges: Vec<DecayRange>,
    stats: StepStats,
}

impl Objective {
    /// Records and plans the program, allocates everything on `device`, draws initial parameters.
    pub fn new(setup: Setup, device: Box<dyn Backend>) -> Result<Self, ObjectiveError> {
        let mut objective = Self::planned(setup, device)?;
        objective.device.reserve(&objective.sizes)?;
        for i in 0..objective.params.list.len() {
            let values = objective.params.initial(i, objective.setup.seed);
            objective
                .device
                .write_f32(objective.params.list[i].param.0, &values)?;
        }
        objective.reset_ema()?;
        Ok(objective)
    }

    /// As [`Objective::new`] without allocating: to look at the plan.
    pub fn planned(setup: Setup, device: Box<dyn Backend>) -> Result<Self, ObjectiveError> {
        let itc = (setup.loss.itc > 0.0).then_some(setup.loss.itc_temperature);
        let params = Params::new(&setup.model, itc);
        let inputs = Inputs::new(&setup.model, &setup.caps);
        let stored = if itc.is_some() {
            setup.caps.pooled * setup.micro_batches
        } else {
            0
        };
        let mut slots = Io::new(
            &setup.model,
            &setup.caps,
            stored,
            setup.loss.itc_soft_labels,
        );
        let scratch = Floats {
            space: Space::Io,
            offset: slots.len,
            len: if stored > 0 {
                Contrast::scratch_len(&setup.model, stored)
            } else {
                0
            },
        };
        slots.len += scratch.len;
        let program = Program::new(
            &setup.model,
            &setup.loss,
            &params,
            &inputs,
            &slots,
            setup.pixels,
            setup.seed,
        )?;
        let contrast = Contrast::new(&setup.model, &params, &slots, stored, scratch);
        let sizes = Sizes {
            params: params.len,
            moments: setup.train,
            ema: setup.ema,
            arena: program.plan.arena,
            io: slots.len,
            words: inputs.words,
            bytes: inputs.bytes,
        };
        Ok(Self {
            targets: Vec::with_capacity(setup.caps.itm),
            places: Vec::with_capacity(setup.micro_batches),
            stats: StepStats {
                sums: LossSums::new(setup.model.scales.len()),
                ..StepStats::default()
            },
            ranges: Vec::new(),
            setup,
            params,
            inputs,
            slots,
            program,
            contrast,
            device,
            sizes,
        })
    }

    /// What it was made from.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The parameters: names, shapes, places.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The device in words.
    pub fn device(&self) -> String {
        self.device.describe()
    }

    /// One step over the micro-batches: gradients, clipping, update. No allocation.
    pub fn train_step(
        &mut self,
        micro: &[&Batch],
        hyper: &Hyper,
    ) -> Result<&StepStats, ObjectiveError> {
        self.gradients(micro, hyper.step)?;
        let norm = self.device.grad_norm()?;
        self.stats.grad_norm = norm;
        let sound = self.stats.loss.is_finite()
            && norm.is_finite()
            && norm <= hyper.max_grad_norm
            && self.stats.loss <= hyper.max_loss;
        self.stats.skipped = !sound;
        if sound {
            self.update(hyper, norm)?;
        }
        Ok(&self.stats)
    }

    fn update(&mut self, hyper: &Hyper, norm: f64) -> Result<(), ObjectiveError> {
        let clip = hyper.clip_norm > 0.0 && norm > hyper.clip_norm;
        let grad_scale = if clip { hyper.clip_norm / norm } else { 1.0 };
        if self.ranges.is_empty() {
            self.ranges = self.params.decay_ranges(hyper.weight_decay);
        }
        let adamw = AdamW {
            lr: hyper.lr,
            beta1: hyper.beta1,
            beta2: hyper.beta2,
            eps: hyper.eps,
            step: hyper.step,
            grad_scale,
        };
        self.device.adamw(&self.ranges, &adamw)?;
        if let Some(tau) = self.params.log_inv_tau {
            let mut value = [0.0];
            self.device.read(tau.0, &mut value)?;
            if value[0] > MAX_LOG_INV_TAU {
                self.device.write(tau.0, &[MAX_LOG_INV_TAU])?;
            }
        }
        if self.setup.ema {
            self.device.average(hyper.ema_decay)?;
        }
        Ok(())
    }

    /// Loss sums and gradients of a step without an update. `step` keys the dropout masks.
    pub fn gradients(&mut self, micro: &[&Batch], step: u64) -> Result<&StepStats, ObjectiveError> {
        for batch in micro {
            self.check(batch)?;
        }
        self.device.zero_grads()?;
        self.write_scales(micro)?;
        self.stats.sums.clear();
        self.stats.flops = 0.0;
        let run_step = |m: usize| {
            (step as u32)
                .wrapping_mul(micro.len() as u32)
                .wrapping_add(m as u32)
        };
        if self.contrast.is_some() {
            self.contrast_pass(micro, &run_step)?;
        }
        for (m, batch) in micro.iter().enumerate() {
            // With contrast and one micro-batch its forward pass has just been run.
            if self.contrast.is_none() || micro.len() > 1 {
                self.forward(batch, Some(run_step(m)))?;
            }
            self.add_sums()?;
            if let Some(contrast) = &self.contrast {
                let pooled = self.program.pooled.unwrap_or(self.slots.pooled_grad);
                for call in contrast.copies(&self.slots, pooled, batch, self.places[m], true) {
                    self.device.run(&call)?;
                }
            }
            for call in &self.program.plan.backward {
                self.device.run(call)?;
            }
            self.stats.flops += 3.0 * forward_flops(&self.setup.model, batch);
        }
        self.stats.loss = self.stats.sums.total(&self.setup.loss);
        Ok(&self.stats)
    }

    /// Runs every forward pass for its pooled states, then the contrastive loss and its gradient.
    fn contrast_pass(
        &mut self,
        micro: &[&Batch],
        run_step: &dyn Fn(usize) -> u32,
    ) -> Result<(), ObjectiveError> {
        let Some(mut contrast) = self.contrast.take() else {
            return Ok(());
        };
        let result = self.contrast_with(&mut contrast, micro, run_step);
        self.contrast = Some(contrast);
        result
    }

    fn contrast_with(
        &mut self,
        contrast: &mut Contrast,
        micro: &[&Batch],
        run_step: &dyn Fn(usize) -> u32,
    ) -> Result<(), ObjectiveError> {
        let mut places = std::mem::take(&mut self.places);
        contrast.begin(micro, &mut places);
        self.places = places;
        let pooled = self.program.pooled.unwrap_or(self.slots.pooled_grad);
        for (m, batch) in micro.iter().enumerate() {
            self.forward(batch, Some(run_step(m)))?;
            for call in contrast.copies(&self.slots, pooled, batch, self.places[m], false) {
                self.device.run(&call)?;
            }
        }
        self.contrast_loss(contrast, micro)?;
        self.device.run(&contrast.backward)?;
        // The last forward pass set its own counts; its backward pass needs them again.
        if let [only] = micro {
            let counts = self.inputs.counts(only, &self.setup.model);
            self.device.begin(&Run {
                counts,
                step: run_step(0),
                dropout: true,
            })?;
        }
        Ok(())
    }

    fn contrast_loss(
        &mut self,
        contrast: &mut Contrast,
        micro: &[&Batch],
    ) -> Result<(), ObjectiveError> {
        let targets = if let Some(soft) = self.slots.soft {
            let (tables, targets) = contrast.soft_targets(micro, &self.places, self.setup.labels);
            for (dst, src) in soft.into_iter().zip(tables) {
                self.device.write_f32(dst, src)?;
            }
            targets
        } else {
            contrast.pair_targets()
        };
        let mut counts = crate::backend::Counts::default();
        contrast.count(&mut counts);
        self.device.begin(&Run {
            counts,
            ..Run::default()
        })?;
        let scale = ratio(f64::from(self.setup.loss.itc), targets as f64);
        self.device.write(self.slots.itc_scale, &[scale])?;
        self.device.run(&contrast.forward)?;
        let mut sums = [0.0; 2];
        self.device.read(self.slots.itc_sums, &mut sums)?;
        for (total, s) in self.stats.sums.itc.iter_mut().zip(sums) {
            *total += s;
        }
        Ok(())
    }

    /// Loss sums of one batch without dropout and gradients.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<&LossSums, ObjectiveError> {
        self.check(batch)?;
        self.stats.sums.clear();
        self.forward(batch, None)?;
        self.add_sums()?;
        if let Some(mut contrast) = self.contrast.take() {
            let mut places = std::mem::take(&mut self.places);
            contrast.begin(&[batch], &mut places);
            self.places = places;
            let pooled = self.program.pooled.unwrap_or(self.slots.pooled_grad);
            for call in contrast.copies(&self.slots, pooled, batch, self.places[0], false) {
                self.device.run(&call)?;
            }
            let result = self.contrast_loss(&mut contrast, &[batch]);
            self.contrast = Some(contrast);
            result?;
        }
        Ok(&self.stats.sums)
    }

    /// What the model fills in for what is masked in one batch.
    pub fn predict(&mut self, batch: &Batch) -> Result<Predictions, ObjectiveError> {
        self.check(batch)?;
        self.forward(batch, None)?;
        let c = self.setup.model.width;
        let mut mvm = Vec::new();
        for (s, place) in self.program.predictions.clone().into_iter().enumerate() {
            let pixels = self.setup.model.scales[s].pow(2);
            mvm.push(self.take(place, batch.scales[s].hid_row.len() * pixels)?);
        }
        let hidden = self.take(self.program.mlm_hidden, batch.mlm_need.len() * c)?;
        let word = self.take(self.params.word.0, self.params.word.0.len)?;
        let bias = self.take(self.params.mlm_bias.0, self.params.mlm_bias.0.len)?;
        let itm = self.take(self.program.itm_logits, batch.itm_need.len())?;
        let pooled = match self.program.pooled {
            Some(place) => self.take(place, batch.pool_range.len() * c)?,
            None => Vec::new(),
        };
        let mlm_top = hidden
            .chunks_exact(c)
            .map(|h| top_id(h, &word, &bias))
            .collect();
        Ok(Predictions {
            mvm,
            mlm_top,
            itm,
            pooled,
        })
    }

    fn take(&mut self, place: Floats, len: usize) -> Result<Vec<f32>, ObjectiveError> {
        let mut values = vec![0.0; len];
        self.device.read_f32(place, &mut values)?;
        Ok(values)
    }

    /// Uploads a batch and runs the forward pass, with dropout if a micro-step is given.
    fn forward(&mut self, batch: &Batch, step: Option<u32>) -> Result<(), ObjectiveError> {
        self.inputs
            .upload(&mut *self.device, batch, &mut self.targets)?;
        let counts = self.inputs.counts(batch, &self.setup.model);
        self.device.begin(&Run {
            counts,
            step: step.unwrap_or(0),
            dropout: step.is_some(),
        })?;
        for call in &self.program.plan.forward {
            self.device.run(call)?;
        }
        Ok(())
    }

    fn write_scales(&mut self, micro: &[&Batch]) -> Result<(), ObjectiveError> {
        let total =
            |count: &dyn Fn(&Batch) -> usize| micro.iter().map(|b| count(b)).sum::<usize>() as f64;
        let loss = &self.setup.loss;
        let device = &mut self.device;
        let mlm = ratio(f64::from(loss.mlm), total(&|b| b.mlm_need.len()));
        device.write(self.slots.mlm_scale, &[mlm])?;
        let itm = ratio(f64::from(loss.itm), total(&|b| b.itm_need.len()));
        device.write(self.slots.itm_scale, &[itm])?;
        for (s, place) in self.slots.mvm_scale.iter().enumerate() {
            let pixels = (self.setup.model.scales[s].pow(2)) as f64;
            let weight = f64::from(loss.mvm) * f64::from(loss.scale_weight(s));
            let scale = ratio(weight, total(&|b| b.scales[s].hid_row.len()) * pixels);
            device.write(*place, &[scale])?;
        }
        Ok(())
    }

    fn add_sums(&mut self) -> Result<(), ObjectiveError> {
        let (device, slots, sums) = (&mut self.device, &self.slots, &mut self.stats.sums);
        let mut read = |place: Floats, into: &mut [f64; 3]| -> Result<(), BackendError> {
            let mut values = [0.0; 3];
            device.read(place, &mut values)?;
            into.iter_mut()
                .zip(values)
                .for_each(|(total, v)| *total += v);
            Ok(())
        };
        read(slots.mlm_sums, &mut sums.mlm)?;
        read(slots.itm_sums, &mut sums.itm)?;
        for (place, into) in slots.mvm_sums.iter().zip(&mut sums.mvm) {
            read(*place, into)?;
        }
        Ok(())
    }

    fn check(&self, batch: &Batch) -> Result<(), ObjectiveError> {
        let (caps, counts) = (
            &self.setup.caps,
            self.inputs.counts(batch, &self.setup.model),
        );
        let limits = limits_of(caps);
        for (what, count, cap) in &limits {
            let found = counts.get(*count);
            if found > *cap {
                return Err(ObjectiveError::TooLarge {
                    what,
                    found,
                    cap: *cap,
                });
            }
        }
        for s in 0..self.setup.model.scales.len() {
            let visible = (counts.get(Count::Visible(s)), caps.visible[s]);
            let hidden = (counts.get(Count::Hidden(s)), caps.hidden[s]);
            for (what, (found, cap)) in [
                ("visible image tokens", visible),
                ("hidden image tokens", hidden),
            ] {
                if found > cap {
                    return Err(ObjectiveError::TooLarge { what, found, cap });
                }
            }
        }
        Ok(())
    }
}

fn limits_of(caps: &Caps) -> [(&'static str, Count, usize); 8] {
    [
        ("tokens", Count::Tokens, caps.tokens),
        ("segments", Count::Segments, caps.segments),
        ("images", Count::Images, caps.images),
        ("text tokens", Count::Text, caps.text),
        ("needed rows", Count::Need, caps.need),
        ("masked pieces", Count::Mlm, caps.mlm),
        ("matching samples", Count::Itm, caps.itm),
        ("pooled segments", Count::Pooled, caps.pooled),
    ]
}

fn ratio(weight: f64, denominator: f64) -> f64 {
    if denominator > 0.0 {
        weight / denominator
    } else {
        0.0
    }
}

fn top_id(h: &[f32], word: &[f32], bias: &[f32]) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (id, (row, b)) in word.chunks_exact(h.len()).zip(bias).enumerate() {
        let logit = row.iter().zip(h).map(|(a, b)| a * b).sum::<f32>() + b;
        if logit > best.0 {
            best = (logit, id as u32);
        }
    }
    best.1
}

#[cfg(test)]
mod tests;
