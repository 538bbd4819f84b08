//! The device seam: opaque buffers, a list of fused calls, and the trait that executes them.
//!
//! A program is made of flat lists of [`Call`]s over handles that the planner has placed. A backend owns
//! the memory behind the handles and knows how to execute each call; it knows nothing of models. Row
//! counts differ from batch to batch: buffers are sized for the capacity and each call looks its counts up
//! in the [`Run`] of the micro-step.

mod call;
mod choice;
mod cost;
pub mod cpu;
pub mod cuda;
mod handle;

pub use call::{Access, Call, DropoutSite};
pub use choice::Device;
pub use cost::Cost;
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
    /// There is no such device here.
    #[error("{reason}\nhint: {hint}")]
    Unavailable {
        /// Why.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The device or its driver failed.
    #[error("{during} failed: {name} ({text})\nhint: {hint}")]
    Device {
        /// What was being done.
        during: String,
        /// The driver's name of the error.
        name: String,
        /// The driver's words for it.
        text: String,
        /// What to do.
        hint: &'static str,
    },
}

/// Sizes of everything a backend allocates, all at once and before the first step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Elements of the parameters; the gradients take as many.
    pub params: usize,
    /// Ranges of parameters that weight decay applies to: first element and length, in the order of memory.
    pub decayed: Vec<[usize; 2]>,
    /// Whether gradients and both moments are needed (training) or not (evaluation).
    pub moments: bool,
    /// Whether an averaged copy of the parameters is kept.
    pub ema: bool,
    /// Elements of the arena of activations, gradients of activations and scratch.
    pub arena: usize,
    /// Elements of row statistics.
    pub wide: usize,
    /// Elements of scalars, loss sums and embeddings that the host reads or writes.
    pub io: usize,
    /// 32-bit words of the batch's index lists.
    pub words: usize,
    /// Bytes of the batch's images.
    pub bytes: usize,
    /// Bytes that a call may use as scratch of the device's own: the most of [`Backend::workspace`].
    pub workspace: usize,
    /// Numbers that one [`Backend::put`] copies at most.
    pub put: usize,
    /// Numbers that one [`Backend::fetch`] copies at most.
    pub fetched: usize,
}

/// How many fetches may be under way.
pub const FETCHES: usize = 2;

/// What changes from one replay of a list to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Row counts of the batch.
    pub counts: Counts,
    /// Number of this micro-step: the dropout masks depend on it.
    pub step: u32,
    /// Whether dropout is applied (training) or not (evaluation).
    pub dropout: bool,
}

/// Settings of one update: AdamW (Loshchilov and Hutter, 2019), its limits, and the averaging.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of the ranges that decay.
    pub weight_decay: f64,
    /// Number of this update, from 1, for the bias correction.
    pub step: u64,
    /// Largest gradient norm: beyond it the gradient is scaled down; 0 for no clipping.
    pub clip_norm: f64,
    /// The update is left out if the loss is not finite or over this.
    pub max_loss: f64,
    /// The update is left out if the gradient norm is not finite or over this.
    pub max_grad_norm: f64,
    /// Decay of the averaged parameters.
    pub ema_decay: f64,
}

/// The lists of a batch and where they go.
pub struct Upload<'a> {
    /// Index lists.
    pub words: &'a [(Words, &'a [u32])],
    /// Images and targets.
    pub bytes: &'a [(Bytes, &'a [u8])],
}

/// A device that owns memory and executes calls.
pub trait Backend: Send {
    /// The device in words, for logs.
    fn describe(&self) -> String;

    /// Whether activations are stored in bf16.
    fn half(&self) -> bool;

    /// Whether calls are only put in line and done later, while the host does something else.
    fn asynchronous(&self) -> bool;

    /// Whether it works in the scratch that calls name; if not, it has its own, see [`Backend::workspace`].
    fn uses_scratch(&self) -> bool;

    /// Bytes of its own memory that a plan may take; `None` if it works in the host's.
    fn free_bytes(&self) -> Result<Option<u64>, BackendError>;

    /// Bytes a second of the device's memory; `None` if nobody states them.
    fn peak_bandwidth(&self) -> Option<f64>;

    /// Floating-point operations a second that the device is built for; `None` if nobody states them.
    fn peak_flops(&self) -> Option<f64>;

    /// Bytes of scratch of its own that the device needs for `call`.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`]: the device cannot do the call at these capacities.
    fn workspace(&self, call: &Call) -> Result<usize, BackendError>;

    /// What [`Backend::reserve`] would allocate, by class, in bytes.
    fn memory(&self, sizes: &Sizes) -> Vec<(&'static str, usize)>;

    /// Allocates everything; parameters, gradients, moments and io start at zero.
    fn reserve(&mut self, sizes: &Sizes) -> Result<(), BackendError>;

    /// Brings a batch near: the next [`Backend::begin`] makes it current. It may be called while calls
    /// on the batch before are still under way.
    fn stage(&mut self, upload: &Upload<'_>) -> Result<(), BackendError>;

    /// Makes the staged batch current, if there is one, and sets what the following calls look up.
    fn begin(&mut self, run: &Run) -> Result<(), BackendError>;

    /// Sets what the following calls of an update look up.
    fn begin_update(&mut self, update: &Update) -> Result<(), BackendError>;

    /// Copies numbers to the device, rounding to its precision.
    fn write(&mut self, dst: Floats, src: &[f64]) -> Result<(), BackendError>;

    /// Copies numbers from the device, once all calls before are done.
    fn read(&mut self, src: Floats, dst: &mut [f64]) -> Result<(), BackendError>;

    /// As [`Backend::write`] behind all calls so far, but nothing is waited for.
    fn put(&mut self, parts: &[(Floats, &[f64])]) -> Result<(), BackendError>;

    /// Puts a copy of numbers to the host in line, which [`Backend::fetched`] gives: at most [`FETCHES`] of them.
    fn fetch(&mut self, src: Floats) -> Result<(), BackendError>;

    /// Waits for the oldest fetch and gives its numbers.
    fn fetched(&mut self, dst: &mut [f64]) -> Result<(), BackendError>;

    /// [`Backend::write`] for single precision.
    fn write_f32(&mut self, dst: Floats, src: &[f32]) -> Result<(), BackendError>;

    /// [`Backend::read`] for single precision.
    fn read_f32(&mut self, src: Floats, dst: &mut [f32]) -> Result<(), BackendError>;

    /// Waits until everything in line is done.
    fn synchronize(&mut self) -> Result<(), BackendError>;

    /// Executes one call, or puts it in line.
    fn run(&mut self, call: &Call) -> Result<(), BackendError>;

    /// Executes a list. Under one number always the same list is given: a device may keep what it has
    /// made of it.
    fn replay(&mut self, number: usize, calls: &[Call]) -> Result<(), BackendError> {
        let _ = number;
        calls.iter().try_for_each(|call| self.run(call))
    }
}
