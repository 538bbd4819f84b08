//! The lists of calls that steps are made of.
//!
//! A step of one micro-batch is a single list, so that a device can keep the whole of it as one graph. With
//! several micro-batches, or without an update, the same parts are replayed one by one.

use super::contrast::Contrast;
use super::io::Io;
use super::program::Program;
use super::{MAX_LOG_INV_TAU, Setup};
use crate::autograd::Param;
use crate::backend::{Call, Floats, Rows};

/// Which list; its number is what a device knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Gradients and totals become 0.
    Start,
    /// Forward, sums, backward of one micro-batch; with contrast its gradient is fetched between.
    Micro,
    /// Forward of one micro-batch, whose pooled states go to the store.
    Pool,
    /// The contrastive loss over the store, forward and backward.
    Contrast,
    /// Norm, decision, update.
    Update,
    /// All of it for a step of one micro-batch, without the update.
    Gradients,
    /// All of it for a step of one micro-batch.
    Step,
    /// Totals of one batch without gradients.
    Evaluate,
    /// Forward only.
    Forward,
}

/// Every list, by number.
pub(super) struct Lists(Vec<Vec<Call>>);

impl Lists {
    pub fn new(
        setup: &Setup,
        program: &Program,
        contrast: Option<&Contrast>,
        io: &Io,
        log_inv_tau: Option<Param>,
    ) -> Self {
        let losses = io.sums.len / 3;
        let start = vec![Call::ZeroGrads, zero(io.totals)];
        let sums = vec![Call::Copy {
            rows: Rows::Fixed(losses),
            c: 3,
            src: io.sums,
            dst: Floats {
                len: io.sums.len,
                ..io.totals
            },
            accumulate: true,
        }];
        let (forward, backward) = (&program.plan.forward, &program.plan.backward);
        let part = |pick: fn(&Contrast) -> Vec<Call>| contrast.map_or(Vec::new(), pick);
        let store = part(|c| vec![c.store.clone()]);
        let loss = part(|c| vec![c.forward.clone()]);
        let both = part(|c| vec![c.forward.clone(), c.backward.clone()]);
        let fetch = part(|c| vec![c.fetch.clone()]);
        let update = update(setup, io, log_inv_tau);
        let join = |parts: &[&[Call]]| parts.concat();
        let gradients = join(&[&start, forward, &sums, &store, &both, &fetch, backward]);
        let step = join(&[&gradients, &update]);
        let pool = join(&[forward, &store]);
        let micro = join(&[forward, &sums, &fetch, backward]);
        let evaluate = join(&[&[zero(io.totals)], forward, &sums, &store, &loss]);
        let mut lists = vec![Vec::new(); List::Forward as usize + 1];
        for (list, calls) in [
            (List::Start, start),
            (List::Micro, micro),
            (List::Pool, pool),
            (List::Contrast, both),
            (List::Update, update),
            (List::Gradients, gradients),
            (List::Step, step),
            (List::Evaluate, evaluate),
            (List::Forward, forward.clone()),
        ] {
            lists[list as usize] = calls;
        }
        Self(lists)
    }

    /// The calls of a list.
    pub fn get(&self, list: List) -> &[Call] {
        &self.0[list as usize]
    }

    /// All calls that a device may be given, for training or for evaluation only.
    pub fn used(&self, train: bool) -> impl Iterator<Item = &Call> {
        let list = if train { List::Step } else { List::Evaluate };
        self.get(list).iter()
    }
}

fn zero(dst: Floats) -> Call {
    Call::Zero {
        rows: Rows::Fixed(1),
        c: dst.len,
        dst,
    }
}

fn update(setup: &Setup, io: &Io, log_inv_tau: Option<Param>) -> Vec<Call> {
    let loss = &setup.loss;
    let scales = 0..setup.model.scales.len();
    let mut weights = vec![loss.mlm];
    weights.extend(scales.map(|s| loss.mvm * loss.scale_weight(s)));
    weights.extend([loss.itm, loss.itc]);
    let verdict = io.verdict;
    let mut calls = vec![
        Call::GradNorm { norm: io.norm },
        Call::Judge {
            weights,
            totals: io.totals,
            norm: io.norm,
            verdict,
        },
        Call::AdamW { verdict },
    ];
    calls.extend(log_inv_tau.map(|tau| Call::Clamp {
        param: tau.0,
        max: MAX_LOG_INV_TAU,
    }));
    if setup.ema {
        calls.push(Call::Average { verdict });
    }
    calls
}
