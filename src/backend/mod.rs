//! The device seam: opaque buffers, a list of fused calls, and the trait that executes them.
//!
//! A program is two flat lists of [`Call`]s (forward and backward) over handles that the planner has
//! placed. A backend owns the memory behind the handles and knows how to execute each call; it knows
//! nothing of models. Row counts differ from batch to batch: buffers are sized for the capacity and
//! each call looks its counts up in the [`Run`] of the step.

mod call;
pub mod cpu;
mod handle;

pub use call::{Access, Call, DropoutSite};
pub use handle::{Bytes, Count, Counts, Floats, MAX_SCALES, Rows, Space, Words};

/// What can go wrong on a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The memory could not be had.
    #[error(
        "{device} cannot provide {bytes} bytes for {what}\nhint: lower train.batch_tokens or choose a smaller model preset"
    )]
    OutOfMemory {
        /// Device in words.
        device: String,
        /// Bytes asked for.
        bytes: usize,
        /// What they were for.
        what: String,
    },
}

/// Sizes of everything a backend allocates, all at once and before the first step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Elements of the parameters; the gradients take as many.
    pub params: usize,
    /// Whether both moments are needed (training) or not (evaluation).
    pub moments: bool,
    /// Whether an averaged copy of the parameters is kept.
    pub ema: bool,
    /// Elements of the arena of activations, gradients of activations and scratch.
    pub arena: usize,
    /// Elements of scalars, loss sums and embeddings that the host reads or writes.
    pub io: usize,
    /// 32-bit words of the batch's index lists.
    pub words: usize,
    /// Bytes of the batch's images.
    pub bytes: usize,
}

/// What changes from one replay of a program to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Row counts of the batch.
    pub counts: Counts,
    /// Number of this micro-step: the dropout masks depend on it.
    pub step: u32,
    /// Whether dropout is applied (training) or not (evaluation).
    pub dropout: bool,
}

/// A range of parameters that share a weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecayRange {
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Weight decay of the range.
    pub weight_decay: f64,
}

/// Settings of one AdamW update (Loshchilov and Hutter, 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Number of this update, from 1, for the bias correction.
    pub step: u64,
    /// Factor on the gradient: 1, or less where the norm was clipped.
    pub grad_scale: f64,
}

/// A device that owns memory and executes calls.
pub trait Backend: Send {
    /// The device in words, for logs.
    fn describe(&self) -> String;

    /// Allocates everything; parameters, gradients, moments and io start at zero.
    fn reserve(&mut self, sizes: &Sizes) -> Result<(), BackendError>;

    /// Sets what the following calls look up.
    fn begin(&mut self, run: &Run) -> Result<(), BackendError>;

    /// Copies index lists to the device.
    fn write_words(&mut self, dst: Words, src: &[u32]) -> Result<(), BackendError>;

    /// Copies images to the device.
    fn write_bytes(&mut self, dst: Bytes, src: &[u8]) -> Result<(), BackendError>;

    /// Copies numbers to the device, rounding to its precision.
    fn write(&mut self, dst: Floats, src: &[f64]) -> Result<(), BackendError>;

    /// Copies numbers from the device.
    fn read(&mut self, src: Floats, dst: &mut [f64]) -> Result<(), BackendError>;

    /// [`Backend::write`] for single precision.
    fn write_f32(&mut self, dst: Floats, src: &[f32]) -> Result<(), BackendError>;

    /// [`Backend::read`] for single precision.
    fn read_f32(&mut self, src: Floats, dst: &mut [f32]) -> Result<(), BackendError>;

    /// Sets all gradients of parameters to zero.
    fn zero_grads(&mut self) -> Result<(), BackendError>;

    /// Executes one call.
    fn run(&mut self, call: &Call) -> Result<(), BackendError>;

    /// The Euclidean norm of all gradients of parameters.
    fn grad_norm(&mut self) -> Result<f64, BackendError>;

    /// One AdamW update of all parameters.
    fn adamw(&mut self, ranges: &[DecayRange], hyper: &AdamW) -> Result<(), BackendError>;

    /// Moves the averaged parameters towards the parameters: `ema = decay * ema + (1 - decay) * w`.
    fn average(&mut self, decay: f64) -> Result<(), BackendError>;
}
