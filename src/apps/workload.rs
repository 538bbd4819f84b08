//! Fixed benchmark batches, so that every engine trains on the same bytes.
//!
//! Little-endian: `u32` magic `MMB1`, batches, samples a batch, vocabulary, patches an image, pixels a
//! patch; then for each sample `u32` has image, text length, masked pieces, hidden patches;
//! `u32` ids (already masked), positions and right ids of the masked pieces, hidden patches; and, if it
//! has an image, its patches one after the other, 8 bit, each row-major.

use crate::data::{Batch, Caps, Regime, SampleInfo, ScaleBatch};
use crate::model::ModelConfig;
use std::path::{Path, PathBuf};

const MAGIC: u32 = u32::from_le_bytes(*b"MMB1");

/// What is wrong with a workload file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// The file cannot be read.
    #[error("cannot read the workload {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not a workload.
    #[error(
        "{path} is not a workload: {what} at byte {at}\nhint: the file is damaged or of another format: write it anew"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// Where.
        at: usize,
    },
    /// The batches do not fit the model.
    #[error(
        "{path} does not fit the preset: {what}\nhint: write the workload anew within these bounds, or name another --preset"
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// The batches of a workload file and what a model needs to fit them.
pub struct Workload {
    /// The file.
    pub path: PathBuf,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// Side of the images in pixels.
    pub image: usize,
    /// Side of the patches in pixels: the only scale.
    pub patch: usize,
    /// Samples of a batch.
    pub samples: usize,
    /// The batches.
    pub batches: Vec<Batch>,
}

struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fail(&self, what: impl Into<String>) -> WorkloadError {
        WorkloadError::Format {
            path: self.path.into(),
            what: what.into(),
            at: self.at,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WorkloadError> {
        let part = self
            .at
            .checked_add(len)
            .and_then(|end| self.bytes.get(self.at..end));
        let part =
            part.ok_or_else(|| self.fail(format!("{len} bytes expected, but the file ends")))?;
        self.at += len;
        Ok(part)
    }

    fn words(&mut self, n: usize) -> Result<Vec<u32>, WorkloadError> {
        let len = n
            .checked_mul(4)
            .ok_or_else(|| self.fail("a length overflows"))?;
        let bytes = self.take(len)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect())
    }

    fn below(&self, values: &[u32], limit: usize, what: &str) -> Result<(), WorkloadError> {
        match values.iter().find(|v| **v as usize >= limit) {
            Some(v) => Err(self.fail(format!("{what} {v} is not under {limit}"))),
            None => Ok(()),
        }
    }
}

impl Workload {
    /// Reads a workload file.
    pub fn read(path: &Path) -> Result<Self, WorkloadError> {
        let bytes = std::fs::read(path).map_err(|source| WorkloadError::Io {
            path: path.into(),
            source,
        })?;
        let mut r = Reader {
            path,
            bytes: &bytes,
            at: 0,
        };
        let head = r.words(6)?;
        if head[0] != MAGIC {
            return Err(r.fail("the magic number is not MMB1"));
        }
        let [_, batches, samples, vocab, patches, pixels] =
            [0, 1, 2, 3, 4, 5].map(|i| head[i] as usize);
        if batches == 0 || samples == 0 {
            return Err(r.fail(format!(
                "{batches} batches of {samples} samples leave nothing to train on"
            )));
        }
        let (grid, patch) = (patches.isqrt(), pixels.isqrt());
        if grid * grid != patches || patch * patch != pixels || patches == 0 || pixels == 0 {
            return Err(r.fail(format!(
                "{patches} patches of {pixels} pixels are not squares"
            )));
        }
        if grid * patch > ModelConfig::MAX_IMAGE {
            return Err(r.fail(format!(
                "an image side of {} is over {}",
                grid * patch,
                ModelConfig::MAX_IMAGE
            )));
        }
        let shape = Self {
            path: path.into(),
            vocab,
            image: grid * patch,
            patch,
            samples,
            batches: Vec::new(),
        };
        let batches = (0..batches)
            .map(|_| shape.batch(&mut r, grid))
            .collect::<Result<_, _>>()?;
        if r.at != bytes.len() {
            return Err(r.fail("bytes are left over"));
        }
        Ok(Self { batches, ..shape })
    }

    fn batch(&self, r: &mut Reader<'_>, grid: usize) -> Result<Batch, WorkloadError> {
        let mut b = Batch {
            seg: vec![0],
            need_seg: vec![0],
            scales: vec![ScaleBatch::default()],
            ..Batch::default()
        };
        let mut row = 0u32;
        for sample in 0..self.samples {
            let head = r.words(4)?;
            let (has_image, length) = (head[0] != 0, head[1] as usize);
            let ids = r.words(length)?;
            let (positions, labels) = (r.words(head[2] as usize)?, r.words(head[2] as usize)?);
            let hidden = r.words(head[3] as usize)?;
            r.below(&ids, self.vocab, "the piece id")?;
            r.below(&labels, self.vocab, "the piece id")?;
            r.below(&positions, length, "the masked position")?;
            r.below(&hidden, grid * grid, "the hidden patch")?;
            let start = row;
            // An image without text has its [CLS] in front all the same.
            let ids = if length == 0 { vec![2] } else { ids };
            for (pos, id) in ids.iter().enumerate() {
                b.text_row.push(row);
                b.text_id.push(*id);
                b.text_pos.push(pos as u32);
                row += 1;
            }
            for (pos, label) in positions.iter().zip(labels) {
                b.mlm_need.push(b.need_row.len() as u32);
                b.need_row.push(start + pos);
                b.mlm_label.push(label);
            }
            if has_image {
                let patches = r.take(grid * grid * self.patch * self.patch)?;
                self.image(&mut b, patches, &hidden, &mut row, grid);
            }
            b.seg.push(row);
            b.need_seg.push(b.need_row.len() as u32);
            let regime = match (has_image, length > 0) {
                (true, true) => Regime::Paired,
                (true, false) => Regime::ImageOnly,
                _ => Regime::TextOnly,
            };
            let record = sample as u32;
            b.samples.push(SampleInfo {
                position: u64::from(record),
                record,
                text_record: record,
                regime,
                source: 0,
                matching: false,
                segment: record,
            });
        }
        Ok(b)
    }

    fn image(&self, b: &mut Batch, patches: &[u8], hidden: &[u32], row: &mut u32, grid: usize) {
        let (side, patch) = (self.image, self.patch);
        let base = b.images.len();
        let img = (base / (side * side)) as u32;
        b.images.resize(base + side * side, 0);
        for (cell, pixels) in patches.chunks_exact(patch * patch).enumerate() {
            for (y, line) in pixels.chunks_exact(patch).enumerate() {
                let at = base + (cell / grid * patch + y) * side + cell % grid * patch;
                b.images[at..at + patch].copy_from_slice(line);
            }
        }
        let mut bitmap = vec![0u32; (grid * grid).div_ceil(32)];
        for h in hidden {
            bitmap[*h as usize / 32] |= 1 << (h % 32);
        }
        let lists = &mut b.scales[0];
        for cell in 0..(grid * grid) as u32 {
            if bitmap[cell as usize / 32] >> (cell % 32) & 1 == 1 {
                lists.hid_row.push(*row);
                lists.hid_img.push(img);
                lists.hid_cell.push(cell);
                lists.hid_need.push(b.need_row.len() as u32);
                b.need_row.push(*row);
            } else {
                lists.vis_row.push(*row);
                lists.vis_img.push(img);
                lists.vis_cell.push(cell);
            }
            *row += 1;
        }
        b.hidden.extend(bitmap);
    }

    /// The model preset, cut to what the file holds. Errors: a shape that no model has; a text that is longer
    /// than the preset's.
    pub fn fit(&self, preset: ModelConfig) -> Result<ModelConfig, WorkloadError> {
        let model = ModelConfig {
            image: self.image,
            scales: vec![self.patch],
            vocab: self.vocab,
            dropout: 0.0,
            ..preset
        };
        let fail = |what| WorkloadError::Shape {
            path: self.path.clone(),
            what,
        };
        model.check().map_err(fail)?;
        for (i, batch) in self.batches.iter().enumerate() {
            let longest = batch.text_pos.iter().max().map_or(0, |&p| p as usize + 1);
            if longest > model.max_text {
                return Err(fail(format!(
                    "batch {i} has a text of {longest} pieces, but model.max_text = {}",
                    model.max_text
                )));
            }
        }
        Ok(model)
    }

    /// The least capacity that holds every batch.
    pub fn caps(&self) -> Caps {
        let most = |f: &dyn Fn(&Batch) -> usize| self.batches.iter().map(f).max().unwrap_or(0);
        Caps {
            tokens: most(&|b| b.tokens()),
            segments: most(&|b| b.segments()),
            images: most(&|b| b.images.len() / (self.image * self.image)),
            text: most(&|b| b.text_row.len()),
            visible: vec![most(&|b| b.scales[0].vis_row.len())],
            hidden: vec![most(&|b| b.scales[0].hid_row.len())],
            mlm: most(&|b| b.mlm_need.len()),
            itm: 0,
            need: most(&|b| b.need_row.len()),
            pooled: 0,
        }
    }
}
