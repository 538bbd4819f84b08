//! Useful arithmetic of a batch: what the method asks for, not what an implementation spends.

use crate::data::Batch;
use crate::model::ModelConfig;

/// Floating-point operations of one forward pass, two a multiply-add; a training step is three times
/// that. Projections and heads are counted on the rows they are needed for, the last block's queries,
/// output and MLP on the rows that a loss reads, attention as two products a pair of rows.
pub fn forward_flops(cfg: &ModelConfig, batch: &Batch) -> f64 {
    let (c, mlp, layers) = (cfg.width as f64, cfg.mlp as f64, cfg.layers as f64);
    let (tokens, need) = (batch.tokens() as f64, batch.need_row.len() as f64);
    let per_row = 2.0 * (2.0 * c * c + 2.0 * c * mlp);
    let kv = 2.0 * 2.0 * c * c;
    let mut flops = (layers - 1.0) * tokens * per_row + need * per_row + layers * tokens * kv;
    for (full, cut) in batch.seg.windows(2).zip(batch.need_seg.windows(2)) {
        let (length, need) = (f64::from(full[1] - full[0]), f64::from(cut[1] - cut[0]));
        flops += 4.0 * c * length * ((layers - 1.0) * length + need);
    }
    flops += 2.0 * batch.mlm_need.len() as f64 * (c * c + c * cfg.vocab as f64);
    for (s, lists) in batch.scales.iter().enumerate() {
        let pixels = (cfg.scales[s] * cfg.scales[s]) as f64;
        flops += 2.0 * (lists.vis_row.len() + lists.hid_row.len()) as f64 * c * pixels;
    }
    flops + 2.0 * batch.itm_need.len() as f64 * c
}
