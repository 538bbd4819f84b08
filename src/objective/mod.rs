//! The objective: losses over batches, their gradients, the update of the parameters.
//!
//! Every loss has a numerator and a denominator. Both are summed over the micro-batches of a step
//! before they divide, so neither gradient accumulation nor the mix of regimes changes the gradient.

mod config;
mod contrast;
mod flops;
mod io;
mod lists;
mod program;
mod state;
mod sums;

pub use config::{LossConfig, PatchLoss, PatchTarget};
pub use flops::forward_flops;
pub use state::Kept;
pub use sums::LossSums;

use crate::autograd::{PlanError, Tape};
use crate::backend::{
    Backend, BackendError, Call, Count, Counts, FETCHES, Floats, MAX_SCALES, Run, Sizes, Space,
    Update,
};
use crate::data::{Batch, Caps};
use crate::model::{Inputs, ModelConfig, Params, Pixels};
use contrast::{Contrast, Place};
use io::Io;
use lists::{List, Lists};
use program::Program;
use std::collections::VecDeque;
use std::time::Instant;

/// The temperature is not allowed under 1/100 (CLIP, Radford et al. 2021).
const MAX_LOG_INV_TAU: f32 = 4.605_170_2;

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
    #[error("there are {found} {what}, but the plan has room for {cap}")]
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

/// Runs a call so many times; the seconds until all are done.
pub type Repeat<'a> = dyn FnMut(u64) -> Result<f64, BackendError> + 'a;

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
    lists: Lists,
    /// The address of the batch that was staged for the next step.
    staged: Option<usize>,
    /// Useful arithmetic of the steps that were launched and not finished, oldest first.
    under_way: VecDeque<f64>,
    /// What the host reads after a step.
    results: Vec<f64>,
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
            len: if stored > 0 && device.uses_scratch() {
                Contrast::scratch_len(&setup.model, stored)
            } else {
                0
            },
        };
        slots.len += scratch.len;
        let program = Program::new(
            Tape::new(device.uses_scratch()),
            &setup.model,
            &setup.loss,
            &params,
            &inputs,
            &slots,
            setup.pixels,
            setup.seed,
        )?;
        let pooled = (inputs.pooled, program.pooled.unwrap_or(slots.pooled_grad));
        let contrast = Contrast::new(&setup.model, &params, &slots, pooled, stored, scratch);
        let lists = Lists::new(
            &setup,
            &program,
            contrast.as_ref(),
            &slots,
            params.log_inv_tau,
        );
        let mut workspace = 0;
        for call in lists.used(setup.train) {
            workspace = workspace.max(device.workspace(call)?);
        }
        let sizes = Sizes {
            params: params.len,
            decayed: params.decayed(),
            moments: setup.train,
            ema: setup.ema,
            arena: program.plan.arena,
            wide: program.plan.wide,
            io: slots.len,
            words: inputs.words,
            bytes: inputs.bytes,
            workspace,
            put: slots.scales.len + slots.soft.iter().flatten().map(|s| s.len).sum::<usize>(),
            fetched: slots.results().len,
        };
        Ok(Self {
            targets: Vec::with_capacity(setup.caps.itm),
            places: Vec::with_capacity(setup.micro_batches),
            stats: StepStats {
                sums: LossSums::new(setup.model.scales.len()),
                ..StepStats::default()
            },
            under_way: VecDeque::with_capacity(FETCHES),
            results: vec![0.0; slots.results().len],
            lists,
            staged: None,
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

    /// Whether the device works while the host does something else, see [`Backend::asynchronous`].
    pub fn asynchronous(&self) -> bool {
        self.device.asynchronous()
    }

    /// Bytes that are free on the device; `None` if it works in the host's memory.
    pub fn free_bytes(&self) -> Result<Option<u64>, BackendError> {
        self.device.free_bytes()
    }

    /// Bytes a second of the device's memory, see [`Backend::peak_bandwidth`].
    pub fn peak_bandwidth(&self) -> Option<f64> {
        self.device.peak_bandwidth()
    }

    /// What the device is built for, see [`Backend::peak_flops`].
    pub fn peak_flops(&self) -> Option<f64> {
        self.device.peak_flops()
    }

    /// One step over the micro-batches: gradients, clipping, update. No allocation.
    pub fn train_step(
        &mut self,
        micro: &[&Batch],
        hyper: &Hyper,
    ) -> Result<&StepStats, ObjectiveError> {
        self.launch(micro, hyper)?;
        self.finish()
    }

    /// The first half of [`Objective::train_step`]: on a device that works on its own, the step is only put in line.
    /// A second step may be launched before the first one is finished.
    pub fn launch(&mut self, micro: &[&Batch], hyper: &Hyper) -> Result<(), ObjectiveError> {
        self.device.begin_update(&Update {
            lr: hyper.lr,
            beta1: hyper.beta1,
            beta2: hyper.beta2,
            eps: hyper.eps,
            weight_decay: hyper.weight_decay,
            step: hyper.step,
            clip_norm: hyper.clip_norm,
            max_loss: hyper.max_loss,
            max_grad_norm: hyper.max_grad_norm,
            ema_decay: hyper.ema_decay,
        })?;
        let flops = self.step(micro, hyper.step, true)?;
        self.device.fetch(self.slots.results())?;
        self.under_way.push_back(flops);
        Ok(())
    }

    /// Brings the first micro-batch of the next step near, while the device still works on this one. It must stay
    /// as it is, where it is, until that step.
    pub fn stage(&mut self, next: &Batch) -> Result<(), ObjectiveError> {
        self.check(next)?;
        self.upload(next)?;
        self.staged = Some(address(next));
        Ok(())
    }

    /// The second half of [`Objective::train_step`]: waits for the oldest step under way and says what it did.
    pub fn finish(&mut self) -> Result<&StepStats, ObjectiveError> {
        self.device.fetched(&mut self.results)?;
        self.stats.flops = self.under_way.pop_front().unwrap_or_default();
        let base = self.slots.totals.offset;
        self.stats.grad_norm = self.results[self.slots.norm.offset - base];
        self.stats.skipped = self.results[self.slots.verdict.offset - base + 1] == 0.0;
        self.take_totals();
        Ok(&self.stats)
    }

    /// Loss sums and gradients of a step without an update. `step` keys the dropout masks.
    pub fn gradients(&mut self, micro: &[&Batch], step: u64) -> Result<&StepStats, ObjectiveError> {
        self.stats.flops = self.step(micro, step, false)?;
        self.device.read(self.slots.results(), &mut self.results)?;
        self.take_totals();
        Ok(&self.stats)
    }

    /// Returns the useful arithmetic of the step.
    fn step(&mut self, micro: &[&Batch], step: u64, update: bool) -> Result<f64, ObjectiveError> {
        if micro.len() > self.setup.micro_batches {
            return Err(ObjectiveError::TooLarge {
                what: "micro-batches",
                found: micro.len(),
                cap: self.setup.micro_batches,
            });
        }
        for batch in micro {
            self.check(batch)?;
        }
        self.prepare(micro)?;
        let flops = micro
            .iter()
            .map(|batch| 3.0 * forward_flops(&self.setup.model, batch))
            .sum();
        let run_step = |m: usize| {
            (step as u32)
                .wrapping_mul(micro.len() as u32)
                .wrapping_add(m as u32)
        };
        if let [batch] = micro {
            self.begin(batch, 0, Some(run_step(0)))?;
            self.replay(if update { List::Step } else { List::Gradients })?;
            return Ok(flops);
        }
        self.replay(List::Start)?;
        // Contrast looks at the whole step at once: every micro-batch runs forward for its pooled states first.
        if self.contrast.is_some() {
            for (m, batch) in micro.iter().enumerate() {
                self.begin(batch, m, Some(run_step(m)))?;
                self.replay(List::Pool)?;
            }
            self.replay(List::Contrast)?;
        }
        for (m, batch) in micro.iter().enumerate() {
            self.begin(batch, m, Some(run_step(m)))?;
            self.replay(List::Micro)?;
        }
        if update {
            self.replay(List::Update)?;
        }
        Ok(flops)
    }

    /// Makes `batch` current and shows every call of a training step, with the counts and a way to run it: so
    /// many times, returning the seconds until all are done.
    pub fn each_call(
        &mut self,
        batch: &Batch,
        visit: &mut dyn FnMut(&Call, &Counts, &mut Repeat<'_>),
    ) -> Result<(), ObjectiveError> {
        self.check(batch)?;
        self.prepare(&[batch])?;
        self.begin(batch, 0, Some(1))?;
        let counts = self.counts(batch, 0);
        let device = &mut self.device;
        for call in self.lists.get(List::Step) {
            // Gradients that were added up many times over may have left the numbers: the update is timed all the same.
            if matches!(call, Call::AdamW { .. } | Call::Average { .. }) {
                device.write(self.slots.verdict, &[0.0, 1.0, 1.0])?;
            }
            visit(call, &counts, &mut |times| {
                device.synchronize()?;
                let start = Instant::now();
                for _ in 0..times {
                    device.run(call)?;
                }
                device.synchronize()?;
                Ok(start.elapsed().as_secs_f64())
            });
        }
        Ok(())
    }

    fn replay(&mut self, list: List) -> Result<(), ObjectiveError> {
        Ok(self.device.replay(list as usize, self.lists.get(list))?)
    }

    fn upload(&mut self, batch: &Batch) -> Result<(), BackendError> {
        self.staged = None;
        self.inputs
            .stage(&mut *self.device, batch, &mut self.targets)
    }

    /// The row counts of micro-batch `m`.
    fn counts(&self, batch: &Batch, m: usize) -> Counts {
        let mut counts = self.inputs.counts(batch, &self.setup.model);
        if let Some(contrast) = &self.contrast {
            contrast.count(batch, self.places[m], &mut counts);
        }
        counts
    }

    /// Makes micro-batch `m` current, with dropout if a micro-step is given.
    fn begin(&mut self, batch: &Batch, m: usize, step: Option<u32>) -> Result<(), ObjectiveError> {
        if self.staged.take() != Some(address(batch)) {
            self.upload(batch)?;
        }
        Ok(self.device.begin(&Run {
            counts: self.counts(batch, m),
            step: step.unwrap_or(0),
            dropout: step.is_some(),
        })?)
    }

    /// Makes room for the pooled states of a step and puts what its losses are asked for and scaled by.
    fn prepare(&mut self, micro: &[&Batch]) -> Result<(), ObjectiveError> {
        if let Some(contrast) = &mut self.contrast {
            contrast.begin(micro, &mut self.places);
            if self.slots.soft.is_some() {
                contrast.make_soft(micro, &self.places, self.setup.labels);
            }
        }
        let total =
            |count: &dyn Fn(&Batch) -> usize| micro.iter().map(|b| count(b)).sum::<usize>() as f64;
        let loss = &self.setup.loss;
        let scales = self.setup.model.scales.len();
        let mut values = [0.0; 3 + MAX_SCALES];
        values[0] = ratio(f64::from(loss.mlm), total(&|b| b.mlm_need.len()));
        for s in 0..scales {
            let pixels = (self.setup.model.scales[s].pow(2)) as f64;
            let weight = f64::from(loss.mvm) * f64::from(loss.scale_weight(s));
            values[1 + s] = ratio(weight, total(&|b| b.scales[s].hid_row.len()) * pixels);
        }
        values[1 + scales] = ratio(f64::from(loss.itm), total(&|b| b.itm_need.len()));
        let targets = self.contrast.as_ref().map_or(0, Contrast::targets) as f64;
        values[2 + scales] = ratio(f64::from(loss.itc), targets);
        let scales = (self.slots.scales, &values[..3 + scales]);
        let Some((contrast, [rows, cols])) = self.contrast.as_ref().zip(self.slots.soft) else {
            return Ok(self.device.put(&[scales])?);
        };
        let [by_row, by_col] = contrast.soft();
        Ok(self.device.put(&[scales, (rows, by_row), (cols, by_col)])?)
    }

    /// Loss sums of the totals that were read.
    fn take_totals(&mut self) {
        let mut rows = self.results.chunks_exact(3).map(|r| [r[0], r[1], r[2]]);
        let mut next = || rows.next().unwrap_or_default();
        let sums = &mut self.stats.sums;
        sums.mlm = next();
        sums.mvm.iter_mut().for_each(|s| *s = next());
        sums.itm = next();
        let [loss, targets, _] = next();
        sums.itc = [loss, targets];
        self.stats.loss = sums.total(&self.setup.loss);
    }

    /// Loss sums of one batch without dropout and gradients.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<&LossSums, ObjectiveError> {
        self.check(batch)?;
        self.prepare(&[batch])?;
        self.begin(batch, 0, None)?;
        self.replay(List::Evaluate)?;
        self.device.read(self.slots.results(), &mut self.results)?;
        self.take_totals();
        Ok(&self.stats.sums)
    }

    /// What the model fills in for what is masked in one batch.
    pub fn predict(&mut self, batch: &Batch) -> Result<Predictions, ObjectiveError> {
        self.check(batch)?;
        self.prepare(&[batch])?;
        self.begin(batch, 0, None)?;
        self.replay(List::Forward)?;
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

/// What tells a batch that was staged from others while it is held.
fn address(batch: &Batch) -> usize {
    std::ptr::from_ref(batch).addr()
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
