//! What kernels are given, field by field as `kernels/common.cuh` has it.

use crate::backend::{Counts, DropoutSite, Run, Update};
use crate::ops;
use crate::ops::dropout::Dropout;
use std::marker::PhantomData;

/// A device address. It is only a number here: whoever launches a kernel answers for it.
#[repr(transparent)]
pub struct Ptr<T>(u64, PhantomData<*mut T>);

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

// SAFETY: a number.
unsafe impl<T> Send for Ptr<T> {}

impl<T> Ptr<T> {
    /// The address 0, for an output that is not wanted.
    pub const NULL: Self = Self(0, PhantomData);

    /// The address as a number.
    pub fn new(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// The address of element `n` from here.
    #[allow(clippy::should_implement_trait)] // as a pointer's
    pub fn add(self, n: usize) -> Self {
        Self::new(self.0 + (n * size_of::<T>()) as u64)
    }

    /// The same address of another type.
    pub fn cast<U>(self) -> Ptr<U> {
        Ptr::new(self.0)
    }

    /// The address as a number.
    pub fn address(self) -> u64 {
        self.0
    }
}

/// Counts of a run that a kernel can look up: those of [`Counts`].
const COUNTS: usize = 24;
const _: () = assert!(Counts::LEN <= COUNTS);

/// The run as kernels read it, at one device address for the life of the device.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRun {
    counts: [u32; COUNTS],
    step: u32,
    dropout: u32,
}

impl DeviceRun {
    /// `run` in 32-bit words.
    pub fn new(run: &Run) -> Self {
        let mut counts = [0; COUNTS];
        for (to, from) in counts.iter_mut().zip(run.counts.values()) {
            *to = *from as u32;
        }
        Self {
            counts,
            step: run.step,
            dropout: u32::from(run.dropout),
        }
    }

    /// All of it, 32-bit words without padding.
    pub(super) fn words(&self) -> [u32; COUNTS + 2] {
        let mut words = [0; COUNTS + 2];
        words[..COUNTS].copy_from_slice(&self.counts);
        words[COUNTS..].copy_from_slice(&[self.step, self.dropout]);
        words
    }
}

/// A row count: fixed, or one of the run's counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    count: i32,
    fixed: u32,
}

impl Rows {
    /// Always `n`.
    pub fn fixed(n: usize) -> Self {
        Self {
            count: -1,
            fixed: n as u32,
        }
    }
}

impl From<crate::backend::Rows> for Rows {
    fn from(rows: crate::backend::Rows) -> Self {
        match rows {
            crate::backend::Rows::Fixed(n) => Self::fixed(n),
            crate::backend::Rows::Counted { count, cap } => Self {
                count: count.index() as i32,
                fixed: cap as u32,
            },
        }
    }
}

/// A place where dropout is applied; whether it is, the run says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drop {
    on: u32,
    threshold: u32,
    scale: f32,
    key: [u32; 2],
    site: u32,
}

impl Drop {
    /// No dropout.
    pub const NONE: Self = Self {
        on: 0,
        threshold: 0,
        scale: 1.0,
        key: [0; 2],
        site: 0,
    };
}

impl From<Option<DropoutSite>> for Drop {
    fn from(site: Option<DropoutSite>) -> Self {
        let Some(DropoutSite { p, key, site }) = site else {
            return Self::NONE;
        };
        let drop = Dropout {
            p,
            key,
            site,
            step: 0,
        };
        Self {
            on: 1,
            threshold: drop.threshold(),
            scale: drop.scale() as f32,
            key,
            site,
        }
    }
}

/// An update as its kernels read it; what f64 arithmetic derives is derived here.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeviceUpdate {
    /// `lr / (1 - beta1^step)`.
    step_size: f32,
    beta1: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    /// `1 / (1 - beta2^step)`.
    fix2: f32,
    eps: f32,
    /// `1 - lr * weight_decay`.
    kept: f32,
    clip_norm: f32,
    max_loss: f32,
    max_grad_norm: f32,
    one_minus_ema_decay: f32,
}

impl DeviceUpdate {
    pub(super) fn new(u: &Update) -> Self {
        let hyper = ops::adamw::Hyper {
            lr: u.lr,
            beta1: u.beta1,
            beta2: u.beta2,
            eps: u.eps,
            weight_decay: u.weight_decay,
            step: u.step,
        };
        let (fix1, fix2) = hyper.corrections();
        Self {
            step_size: (u.lr / fix1) as f32,
            beta1: u.beta1 as f32,
            beta2: u.beta2 as f32,
            one_minus_beta1: (1.0 - u.beta1) as f32,
            one_minus_beta2: (1.0 - u.beta2) as f32,
            fix2: (1.0 / fix2) as f32,
            eps: u.eps as f32,
            kept: (1.0 - u.lr * u.weight_decay) as f32,
            clip_norm: u.clip_norm as f32,
            max_loss: u.max_loss as f32,
            max_grad_norm: u.max_grad_norm as f32,
            one_minus_ema_decay: (1.0 - u.ema_decay) as f32,
        }
    }

    /// All of it, 32-bit words without padding.
    pub(super) fn words(&self) -> [u32; 12] {
        [
            self.step_size,
            self.beta1,
            self.beta2,
            self.one_minus_beta1,
            self.one_minus_beta2,
            self.fix2,
            self.eps,
            self.kept,
            self.clip_norm,
            self.max_loss,
            self.max_grad_norm,
            self.one_minus_ema_decay,
        ]
        .map(f32::to_bits)
    }
}
