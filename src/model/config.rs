//! What shapes a model: presets and their fields (method.md, 2).

use serde::{Deserialize, Serialize};

/// How the pooled state of a segment is taken for contrast and retrieval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The state of the segment's `[CLS]` token.
    Cls,
    /// The mean over all tokens of the segment.
    Mean,
}

/// Shape of the model. Every field is shape-bearing: a checkpoint only fits the same values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Transformer blocks.
    pub layers: usize,
    /// Width C of the token states.
    pub width: usize,
    /// Attention heads; `width / heads` must be 32, 64 or 128.
    pub heads: usize,
    /// Hidden width of the MLP, usually `4 * width`.
    pub mlp: usize,
    /// Side of the square image in pixels.
    pub image: usize,
    /// Patch sides in pixels, finest first; each divides the next and the image side.
    pub scales: Vec<usize>,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// Most pieces of one text, `[CLS]` and `[SEP]` included.
    pub max_text: usize,
    /// Pooling of a segment.
    pub pool: Pool,
    /// Probability that an element is dropped after embedding, attention output and MLP output.
    pub dropout: f32,
}

impl ModelConfig {
    /// The named presets, smallest first.
    pub const PRESETS: [&str; 5] = ["nano", "tiny", "small", "base", "large"];

    /// Largest image side. The bounds of [`ModelConfig::check`] are far beyond use, and small enough that no
    /// product of sizes leaves 64 bits.
    pub const MAX_IMAGE: usize = 8192;

    /// The preset of that name, if there is one.
    pub fn preset(name: &str) -> Option<Self> {
        let (layers, width, heads, image, scales, vocab): (_, _, _, _, &[usize], _) = match name {
            "nano" => (2, 64, 2, 64, &[8, 16], 512),
            "tiny" => (4, 256, 4, 128, &[16, 32], 8192),
            "small" => (8, 512, 8, 256, &[16, 32, 64], 16384),
            "base" => (12, 768, 12, 256, &[16, 32, 64], 30522),
            "large" => (24, 1024, 16, 384, &[16, 32, 64], 30522),
            _ => return None,
        };
        Some(Self {
            layers,
            width,
            heads,
            mlp: 4 * width,
            image,
            scales: scales.to_vec(),
            vocab,
            max_text: 128,
            pool: Pool::Mean,
            dropout: 0.0,
        })
    }

    /// Head dimension `width / heads`.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }

    /// Cells along one side of the grid of scale `s`.
    pub fn grid(&self, s: usize) -> usize {
        self.image / self.scales[s]
    }

    /// Tokens of one image at scale `s`.
    pub fn cells(&self, s: usize) -> usize {
        self.grid(s) * self.grid(s)
    }

    /// Tokens of one image over all scales.
    pub fn image_tokens(&self) -> usize {
        (0..self.scales.len()).map(|s| self.cells(s)).sum()
    }

    /// 32-bit words of one image's hidden bitmap over the finest grid.
    pub fn hidden_words(&self) -> usize {
        self.cells(0).div_ceil(32)
    }

    /// Says what is wrong with the shape, naming the field.
    pub fn check(&self) -> Result<(), String> {
        // Beside the five special pieces at least one; [CLS], a piece and [SEP].
        let ranges = [
            ("model.layers", self.layers, 1..=512),
            ("model.width", self.width, 32..=16_384),
            ("model.heads", self.heads, 1..=512),
            ("model.mlp", self.mlp, 1..=65_536),
            ("model.image", self.image, 1..=Self::MAX_IMAGE),
            ("model.vocab", self.vocab, 6..=1 << 20),
            ("model.max_text", self.max_text, 3..=65_536),
        ];
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                return Err(format!(
                    "{name} = {value} is not in {} to {}",
                    range.start(),
                    range.end()
                ));
            }
        }
        if !self.width.is_multiple_of(self.heads) || ![32, 64, 128].contains(&self.head_dim()) {
            return Err(format!(
                "model.width / model.heads must be 32, 64 or 128, but is {} / {}",
                self.width, self.heads
            ));
        }
        if self.scales.is_empty() || self.scales.len() > 4 {
            return Err(format!(
                "model.scales must name 1 to 4 patch sides, but names {}",
                self.scales.len()
            ));
        }
        for pair in self.scales.windows(2) {
            if pair[0] >= pair[1] || !pair[1].is_multiple_of(pair[0]) {
                return Err(format!(
                    "model.scales must grow and each divide the next, but {} is followed by {}",
                    pair[0], pair[1]
                ));
            }
        }
        for &p in &self.scales {
            if p == 0 || !self.image.is_multiple_of(p) {
                return Err(format!(
                    "model.image = {} is not a multiple of the patch side {p} in model.scales",
                    self.image
                ));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("model.dropout = {} is not in [0, 1)", self.dropout));
        }
        Ok(())
    }
}
