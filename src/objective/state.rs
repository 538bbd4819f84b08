//! Reading and writing what a checkpoint holds, and the memory table.

use super::{Objective, ObjectiveError};
use crate::autograd::Usage;
use crate::backend::{Floats, Space};
use std::fmt::Write;

/// One of the tensors kept for every parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The parameter itself.
    Weight,
    /// Its gradient of the last step.
    Gradient,
    /// First moment.
    Moment1,
    /// Second moment.
    Moment2,
    /// Averaged parameter.
    Average,
}

impl Kept {
    fn space(self) -> Space {
        match self {
            Kept::Weight => Space::Params,
            Kept::Gradient => Space::Grads,
            Kept::Moment1 => Space::Moment1,
            Kept::Moment2 => Space::Moment2,
            Kept::Average => Space::Ema,
        }
    }
}

impl Objective {
    fn kept(&self, name: &str, kept: Kept, len: Option<usize>) -> Result<Floats, ObjectiveError> {
        match self.params.find(name) {
            Some(info) if len.is_none_or(|l| l == info.param.0.len) => {
                Ok(info.param.0.within(kept.space()))
            }
            _ => Err(ObjectiveError::NoSuchParam {
                name: name.into(),
                len: len.unwrap_or(0),
            }),
        }
    }

    /// Reads what is kept of the parameter `name`.
    pub fn read(&mut self, name: &str, kept: Kept) -> Result<Vec<f32>, ObjectiveError> {
        let place = self.kept(name, kept, None)?;
        self.take(place, place.len)
    }

    /// Writes what is kept of the parameter `name`.
    pub fn write(&mut self, name: &str, kept: Kept, values: &[f32]) -> Result<(), ObjectiveError> {
        let place = self.kept(name, kept, Some(values.len()))?;
        Ok(self.device.write_f32(place, values)?)
    }

    /// Lets the averaged parameters start from the parameters, if they are kept.
    pub fn reset_ema(&mut self) -> Result<(), ObjectiveError> {
        if self.setup.ema {
            for i in 0..self.params.list.len() {
                let place = self.params.list[i].param.0;
                let values = self.take(place, place.len)?;
                self.device.write_f32(place.within(Space::Ema), &values)?;
            }
        }
        Ok(())
    }

    /// Bytes of everything that is allocated on the device.
    pub fn memory_bytes(&self) -> usize {
        self.memory_classes().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of the largest batch, in host memory as on the device.
    pub fn batch_bytes(&self) -> usize {
        4 * self.sizes.words + self.sizes.bytes
    }

    /// Elements of the arena, and what they would be if no memory were shared over time.
    pub fn arena(&self) -> (usize, usize) {
        (self.sizes.arena, self.program.plan.unshared.iter().sum())
    }

    fn memory_classes(&self) -> Vec<(&'static str, usize)> {
        self.device.memory(&self.sizes)
    }

    /// The memory plan as a table: bytes by class, what sharing over time saves, tokens of a batch.
    pub fn plan_table(&self) -> String {
        let mut out = String::new();
        let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
        let caps = &self.setup.caps;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "model: {} parameters in {} tensors; a micro-batch holds at most {} tokens in {} segments, {} images",
            self.params.count(),
            self.params.list.len(),
            caps.tokens,
            caps.segments,
            caps.images
        );
        for (class, bytes) in self.memory_classes() {
            let _ = writeln!(out, "  {class:<40} {:>10.1} MiB", mib(bytes));
        }
        let _ = writeln!(
            out,
            "  {:<40} {:>10.1} MiB",
            "total",
            mib(self.memory_bytes())
        );
        let unshared = &self.program.plan.unshared;
        let of = |u: Usage| mib(4 * unshared[u as usize]);
        let _ = writeln!(
            out,
            "  the arena shares memory over time: activations {:.1}, gradients {:.1} and scratch {:.1} MiB in {:.1}",
            of(Usage::Activation),
            of(Usage::Gradient),
            of(Usage::Scratch),
            mib(4 * self.sizes.arena)
        );
        out
    }
}
