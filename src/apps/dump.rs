//! `dump`: one training step with everything that goes in and comes out, so that anybody can
//! recompute it.

use crate::data::Batch;
use crate::objective::{Kept, Objective, ObjectiveError};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

/// Why a dump failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The step failed.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The tensors could not be put into a file.
    #[error("cannot serialise the step: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
}

struct Tensors(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn words(&mut self, name: &str, shape: &[usize], values: &[u32]) {
        self.0.push((
            name.into(),
            Dtype::U32,
            shape.into(),
            bytemuck::cast_slice(values).to_vec(),
        ));
    }

    fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) {
        self.0.push((
            name,
            Dtype::F32,
            shape.into(),
            bytemuck::cast_slice(values).to_vec(),
        ));
    }

    fn double(&mut self, name: &str, value: f64) {
        self.0.push((
            name.into(),
            Dtype::F64,
            vec![1],
            value.to_le_bytes().to_vec(),
        ));
    }
}

/// Loss and gradient of `batch`, without dropout's randomness if the model has none, as one
/// safetensors file in memory: `batch.*`, `param.*`, `grad.*`, `loss.*`; the configuration is the
/// metadata `model` and `loss`, as JSON.
pub fn step(objective: &mut Objective, batch: &Batch) -> Result<Vec<u8>, DumpError> {
    let stats = objective.gradients(&[batch], 1)?.clone();
    let cfg = objective.setup().model.clone();
    let mut t = Tensors(Vec::new());
    put_batch(&mut t, batch, cfg.image);
    t.double("loss.total", stats.loss);
    let sums = &stats.sums;
    let losses = [
        ("mlm", sums.mlm_loss()),
        ("itm", sums.itm_loss()),
        ("itc", sums.itc_loss()),
    ];
    let scales =
        (0..cfg.scales.len()).map(|s| (format!("mvm.scale{}", cfg.scales[s]), sums.mvm_loss(s)));
    for (name, value) in losses
        .map(|(n, v)| (n.to_owned(), v))
        .into_iter()
        .chain(scales)
    {
        if let Some(value) = value {
            t.double(&format!("loss.{name}"), value);
        }
    }
    for info in objective.params().list.clone() {
        let weight = objective.read(&info.name, Kept::Weight)?;
        t.floats(format!("param.{}", info.name), &info.shape, &weight);
        let grad = objective.read(&info.name, Kept::Gradient)?;
        t.floats(format!("grad.{}", info.name), &info.shape, &grad);
    }
    let setup = objective.setup();
    let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
    let meta = HashMap::from([
        (
            "model".to_owned(),
            json(serde_json::to_string(&setup.model)),
        ),
        ("loss".to_owned(), json(serde_json::to_string(&setup.loss))),
        ("pixel_mean".to_owned(), setup.pixels.mean.to_string()),
        ("pixel_std".to_owned(), setup.pixels.std.to_string()),
        ("engine".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let views =
        t.0.iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    Ok(safetensors::serialize(views, Some(meta))?)
}

fn put_batch(t: &mut Tensors, b: &Batch, side: usize) {
    let n = b.images.len() / (side * side);
    t.0.push((
        "batch.images".into(),
        Dtype::U8,
        vec![n, side, side],
        b.images.clone(),
    ));
    let words = b.hidden.len().checked_div(n).unwrap_or(0);
    t.words("batch.hidden", &[n, words], &b.hidden);
    let lists: [(&str, &[u32]); 11] = [
        ("seg", &b.seg),
        ("text_row", &b.text_row),
        ("text_id", &b.text_id),
        ("text_pos", &b.text_pos),
        ("need_row", &b.need_row),
        ("need_seg", &b.need_seg),
        ("mlm_need", &b.mlm_need),
        ("mlm_label", &b.mlm_label),
        ("itm_need", &b.itm_need),
        ("itm_label", &b.itm_label),
        ("pool", &[b.pool_images as u32, b.pool_pairs as u32]),
    ];
    for (name, values) in lists {
        t.words(&format!("batch.{name}"), &[values.len()], values);
    }
    let labels = b.pool_labels.len().checked_div(b.pool_range.len());
    t.0.push((
        "batch.pool_labels".into(),
        Dtype::I8,
        vec![b.pool_range.len(), labels.unwrap_or(0)],
        bytemuck::cast_slice(&b.pool_labels).to_vec(),
    ));
    t.words(
        "batch.pool_range",
        &[b.pool_range.len(), 2],
        bytemuck::cast_slice(&b.pool_range),
    );
    for (s, lists) in b.scales.iter().enumerate() {
        let lists: [(&str, &[u32]); 7] = [
            ("vis_row", &lists.vis_row),
            ("vis_img", &lists.vis_img),
            ("vis_cell", &lists.vis_cell),
            ("hid_row", &lists.hid_row),
            ("hid_img", &lists.hid_img),
            ("hid_cell", &lists.hid_cell),
            ("hid_need", &lists.hid_need),
        ];
        for (name, values) in lists {
            t.words(&format!("batch.scale{s}.{name}"), &[values.len()], values);
        }
    }
}
