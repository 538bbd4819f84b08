//! The parameters: names, shapes, places, initial values.

use super::ModelConfig;
use crate::autograd::Param;
use crate::backend::{Floats, Space};
use crate::rng::{Purpose, Stream};

/// Elements to which every parameter is aligned: 64 bytes of f32.
const ALIGN: usize = 16;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with this standard deviation.
    Normal(f64),
    /// One value throughout.
    Constant(f64),
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct ParamInfo {
    /// Name in checkpoints.
    pub name: String,
    /// One or two dimensions.
    pub shape: Vec<usize>,
    /// Its place.
    pub param: Param,
    /// How it starts.
    pub init: Init,
    /// Whether weight decay applies: matrices only, not biases, norms, positions or modalities.
    pub decay: bool,
}

/// A weight and its bias.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// `[n, k]`, or `[C]` of a norm.
    pub weight: Param,
    /// `[n]`
    pub bias: Param,
}

/// Parameters of one scale of the image.
#[derive(Clone, Copy, Debug)]
pub struct ScaleParams {
    /// Projection `[C, p * p]` of a patch.
    pub patch: Affine,
    /// `[cells, C]`
    pub position: Param,
    /// `[C]`, stands in for a hidden patch.
    pub mask: Param,
    /// Regeneration head `[p * p, C]`.
    pub head: Affine,
}

/// Parameters of one transformer block.
#[derive(Clone, Copy, Debug)]
pub struct BlockParams {
    /// Norm before attention.
    pub ln1: Affine,
    /// Queries `[C, C]`.
    pub q: Affine,
    /// Keys, then values `[2C, C]`.
    pub kv: Affine,
    /// Output `[C, C]`.
    pub out: Affine,
    /// Norm before the MLP.
    pub ln2: Affine,
    /// `[mlp, C]`
    pub up: Affine,
    /// `[C, mlp]`
    pub down: Affine,
}

/// All parameters of a model with the heads of pre-training.
#[derive(Clone, Debug)]
pub struct Params {
    /// Every parameter in the order of the checkpoint and of memory.
    pub list: Vec<ParamInfo>,
    /// Elements, padding included.
    pub len: usize,
    /// `[vocab, C]`
    pub word: Param,
    /// `[max_text, C]`
    pub text_position: Param,
    /// `[2, C]`: text, image.
    pub modality: Param,
    /// Scale by scale.
    pub scales: Vec<ScaleParams>,
    /// Block by block.
    pub blocks: Vec<BlockParams>,
    /// Final norm.
    pub norm: Affine,
    /// Language head: dense `[C, C]`.
    pub mlm_dense: Affine,
    /// Language head: norm.
    pub mlm_norm: Affine,
    /// Language head: bias `[vocab]` of the decoder that is tied to `word`.
    pub mlm_bias: Param,
    /// Matching head `[1, C]`.
    pub itm: Affine,
    /// Contrast: logarithm of the inverse temperature `[1]`; absent without that loss.
    pub log_inv_tau: Option<Param>,
}

struct Builder {
    list: Vec<ParamInfo>,
    len: usize,
}

impl Builder {
    fn add(&mut self, name: String, shape: &[usize], init: Init, decay: bool) -> Param {
        let len = shape.iter().product();
        let param = Param(Floats {
            space: Space::Params,
            offset: self.len,
            len,
        });
        self.len += usize::next_multiple_of(len, ALIGN);
        self.list.push(ParamInfo {
            name,
            shape: shape.to_vec(),
            param,
            init,
            decay,
        });
        param
    }

    fn affine(&mut self, name: &str, n: usize, k: usize, std: f64) -> Affine {
        Affine {
            weight: self.add(format!("{name}.weight"), &[n, k], Init::Normal(std), true),
            bias: self.add(format!("{name}.bias"), &[n], Init::Constant(0.0), false),
        }
    }

    fn norm(&mut self, name: &str, c: usize) -> Affine {
        Affine {
            weight: self.add(format!("{name}.weight"), &[c], Init::Constant(1.0), false),
            bias: self.add(format!("{name}.bias"), &[c], Init::Constant(0.0), false),
        }
    }
}

impl Params {
    /// Lays out the parameters of `cfg`. `itc_temperature` is given where the contrastive loss is on.
    pub fn new(cfg: &ModelConfig, itc_temperature: Option<f32>) -> Self {
        let (c, std) = (cfg.width, 0.02);
        let residual_std = std / (2.0 * cfg.layers as f64).sqrt();
        let table = Init::Normal(std);
        let mut b = Builder {
            list: Vec::new(),
            len: 0,
        };
        let word = b.add("embed.word".into(), &[cfg.vocab, c], table, true);
        let text_position = b.add("embed.position".into(), &[cfg.max_text, c], table, false);
        let modality = b.add("embed.modality".into(), &[2, c], table, false);
        let scales = cfg
            .scales
            .iter()
            .enumerate()
            .map(|(s, &p)| ScaleParams {
                patch: b.affine(&format!("embed.scale{p}.patch"), c, p * p, std),
                position: b.add(
                    format!("embed.scale{p}.position"),
                    &[cfg.cells(s), c],
                    table,
                    false,
                ),
                mask: b.add(format!("embed.scale{p}.mask"), &[c], table, false),
                head: b.affine(&format!("heads.mvm.scale{p}"), p * p, c, std),
            })
            .collect();
        let blocks = (0..cfg.layers)
            .map(|i| {
                let name = |part: &str| format!("blocks.{i}.{part}");
                BlockParams {
                    ln1: b.norm(&name("ln1"), c),
                    q: b.affine(&name("attn.q"), c, c, std),
                    kv: b.affine(&name("attn.kv"), 2 * c, c, std),
                    out: b.affine(&name("attn.out"), c, c, residual_std),
                    ln2: b.norm(&name("ln2"), c),
                    up: b.affine(&name("mlp.up"), cfg.mlp, c, std),
                    down: b.affine(&name("mlp.down"), c, cfg.mlp, residual_std),
                }
            })
            .collect();
        let norm = b.norm("norm", c);
        let mlm_dense = b.affine("heads.mlm.dense", c, c, std);
        let mlm_norm = b.norm("heads.mlm.norm", c);
        let mlm_bias = b.add(
            "heads.mlm.bias".into(),
            &[cfg.vocab],
            Init::Constant(0.0),
            false,
        );
        let itm = b.affine("heads.itm", 1, c, std);
        let log_inv_tau = itc_temperature.map(|tau| {
            let start = Init::Constant((1.0 / f64::from(tau)).ln());
            b.add("heads.itc.log_inv_tau".into(), &[1], start, false)
        });
        Self {
            list: b.list,
            len: b.len,
            word,
            text_position,
            modality,
            scales,
            blocks,
            norm,
            mlm_dense,
            mlm_norm,
            mlm_bias,
            itm,
            log_inv_tau,
        }
    }

    /// The parameter of that name.
    pub fn find(&self, name: &str) -> Option<&ParamInfo> {
        self.list.iter().find(|p| p.name == name)
    }

    /// Trained numbers, padding not counted.
    pub fn count(&self) -> usize {
        self.list.iter().map(|p| p.param.0.len).sum()
    }

    /// Initial values of one parameter; a pure function of (seed, its place in the list).
    pub fn initial(&self, index: usize, seed: u64) -> Vec<f32> {
        let info = &self.list[index];
        match info.init {
            Init::Constant(value) => vec![value as f32; info.param.0.len],
            Init::Normal(std) => {
                let mut draws = Stream::new(seed, 0, index as u64, Purpose::Init);
                (0..info.param.0.len)
                    .map(|_| (draws.normal() * std) as f32)
                    .collect()
            }
        }
    }

    /// The ranges that weight decay applies to, first element and length, in the order of memory.
    pub fn decayed(&self) -> Vec<[usize; 2]> {
        let mut ranges: Vec<[usize; 2]> = Vec::new();
        for p in self.list.iter().filter(|p| p.decay) {
            let (offset, len) = (p.param.0.offset, p.param.0.len.next_multiple_of(ALIGN));
            match ranges.last_mut() {
                Some([start, have]) if *start + *have == offset => *have += len,
                _ => ranges.push([offset, len]),
            }
        }
        ranges
    }
}
