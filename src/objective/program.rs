//! The pre-training program: the trunk and its heads, recorded, planned, with handles to results.

use super::io::Io;
use super::{LossConfig, PatchLoss, PatchTarget};
use crate::autograd::{ImageView, Linear, Plan, PlanError, Tape, Tensor};
use crate::backend::Floats;
use crate::model::{Inputs, ModelConfig, Params, Pixels, Pool, Sites, norm, patch_grid, trunk};
use crate::ops::linear::Act;
use crate::ops::masked_patch_loss::{Loss, Target};
use crate::ops::pool::Kind;

/// A planned program and where the host finds its results after the forward pass.
pub(super) struct Program {
    pub plan: Plan,
    /// Input of the language decoder. `[M, C]`
    pub mlm_hidden: Floats,
    /// Regenerated patches of each scale, normalised. `[H, p * p]`
    pub predictions: Vec<Floats>,
    /// Matching logits. `[K, 1]`
    pub itm_logits: Floats,
    /// Pooled states. `[G, C]`
    pub pooled: Option<Floats>,
}

impl Program {
    /// Records trunk and heads. A loss of weight 0 is recorded too: nothing is masked for it, so its calls have
    /// no rows.
    #[allow(clippy::too_many_arguments)] // what a program is made of, each once
    pub fn new(
        mut tape: Tape,
        cfg: &ModelConfig,
        loss: &LossConfig,
        params: &Params,
        io: &Inputs,
        slots: &Io,
        pixels: Pixels,
        seed: u64,
    ) -> Result<Self, PlanError> {
        let t = &mut tape;
        let mut sites = Sites::new(cfg.dropout, seed);
        let h = trunk(t, cfg, params, io, pixels, &mut sites);
        let form = (patch_loss(loss.patch_loss), patch_target(loss.patch_target));

        let rows = t.gather("mlm.rows", h, io.mlm_need, io.mlm);
        let dense = params.mlm_dense;
        let opts = Linear {
            act: Act::Gelu,
            ..Linear::PLAIN
        };
        let mlm_hidden = t.linear("mlm.dense", rows, dense.weight, dense.bias, opts);
        let mlm_hidden = norm(t, "mlm.norm", mlm_hidden, params.mlm_norm);
        t.masked_ce(
            mlm_hidden,
            params.word,
            params.mlm_bias,
            io.mlm_label,
            slots.sums_of(0),
            slots.scale_of(0),
        );

        let mut predictions = Vec::new();
        for s in 0..cfg.scales.len() {
            let lists = &io.scales[s];
            let side = cfg.scales[s];
            let rows = t.gather(&format!("mvm{side}.rows"), h, lists.hid_need, lists.hidden);
            let head = params.scales[s].head;
            let pred = t.linear(
                &format!("mvm{side}.pred"),
                rows,
                head.weight,
                head.bias,
                Linear::PLAIN,
            );
            let view = ImageView {
                grid: patch_grid(cfg, pixels, s),
                images: io.pixels,
                count: io.images,
                img: lists.hid_img,
                cell: lists.hid_cell,
            };
            t.masked_patch(
                pred,
                view,
                form,
                slots.sums_of(1 + s),
                slots.scale_of(1 + s),
            );
            predictions.push(pred);
        }

        let cls = t.gather("itm.cls", h, io.itm_need, io.itm);
        let itm_logits = t.linear(
            "itm.logit",
            cls,
            params.itm.weight,
            params.itm.bias,
            Linear::PLAIN,
        );
        let at = 1 + cfg.scales.len();
        t.bce(
            itm_logits,
            io.itm_target,
            slots.sums_of(at),
            slots.scale_of(at),
        );

        let pooled = params.log_inv_tau.is_some().then(|| {
            let kind = match cfg.pool {
                Pool::Cls => Kind::Cls,
                Pool::Mean => Kind::Mean,
            };
            let pooled = t.pool("itc.pool", h, kind, io.pool_range, io.pooled);
            t.seed(pooled, slots.pooled_grad);
            pooled
        });

        let results: Vec<Tensor> = predictions
            .iter()
            .copied()
            .chain([mlm_hidden, itm_logits])
            .chain(pooled)
            .collect();
        for r in &results {
            t.pin(*r);
        }
        let id = |tape: &Tape, t: Tensor| tape.virtual_id(t);
        let ids = (
            id(t, mlm_hidden),
            predictions.iter().map(|p| id(t, *p)).collect::<Vec<_>>(),
            id(t, itm_logits),
            pooled.map(|p| id(t, p)),
        );
        let trained: Vec<_> = params
            .list
            .iter()
            .filter(|p| Some(p.param) != params.log_inv_tau)
            .map(|p| (p.name.clone(), p.param))
            .collect();
        let plan = tape.plan_training(&trained)?;
        Ok(Self {
            mlm_hidden: plan.places[ids.0],
            predictions: ids.1.iter().map(|i| plan.places[*i]).collect(),
            itm_logits: plan.places[ids.2],
            pooled: ids.3.map(|i| plan.places[i]),
            plan,
        })
    }
}

fn patch_loss(loss: PatchLoss) -> Loss {
    match loss {
        PatchLoss::L1 => Loss::L1,
        PatchLoss::L2 => Loss::L2,
        PatchLoss::SmoothL1 => Loss::SmoothL1,
    }
}

fn patch_target(target: PatchTarget) -> Target {
    match target {
        PatchTarget::Pixels => Target::Pixels,
        PatchTarget::PatchNorm => Target::PatchNorm,
    }
}
