//! Upper bounds of a batch, worked out from the shapes alone so that memory is planned before step 0.

use super::masks::{ImageMasker, masked_pieces};
use super::{DataConfig, DataError, MaskConfig};
use crate::model::{ModelConfig, Pool};
use crate::objective::LossConfig;

/// Upper bounds of every list of a batch: the packer never exceeds them, the planner allocates for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Tokens T.
    pub tokens: usize,
    /// Segments S.
    pub segments: usize,
    /// Images N.
    pub images: usize,
    /// Text tokens (each segment's `[CLS]` included).
    pub text: usize,
    /// Visible tokens of each scale.
    pub visible: Vec<usize>,
    /// Hidden tokens of each scale.
    pub hidden: Vec<usize>,
    /// Masked pieces.
    pub mlm: usize,
    /// Matching samples.
    pub itm: usize,
    /// Needed rows R of the last layer.
    pub need: usize,
    /// Pooled segments G (contrast), images and texts together.
    pub pooled: usize,
}

/// Shortest text that a full batch of texts is sized for. Shorter ones fit too, but a batch of
/// nothing else closes before its token budget: the packer keeps to every cap.
const SHORT_TEXT: usize = 8;

impl Caps {
    /// Bounds for batches of at most `batch_tokens` tokens.
    ///
    /// No mixture of regimes with texts of eight pieces or more runs into another cap than the token
    /// budget. Errors: shapes that are not valid; a budget that cannot hold the largest sample.
    pub fn for_budget(
        model: &ModelConfig,
        mask: &MaskConfig,
        loss: &LossConfig,
        data: &DataConfig,
        batch_tokens: usize,
    ) -> Result<Caps, DataError> {
        let config = |message| DataError::Config { message };
        model.check().map_err(config)?;
        mask.check(model.scales.len()).map_err(config)?;
        data.check().map_err(config)?;
        loss_check(loss).map_err(config)?;

        let image = model.image_tokens();
        // A split sample has the most tokens: one [CLS] for each of its two segments.
        let largest = 1 + image + model.max_text;
        if batch_tokens < largest {
            return Err(DataError::Budget {
                batch_tokens,
                largest,
            });
        }
        if u32::try_from(batch_tokens).is_err() {
            return Err(DataError::Config {
                message: format!("batch_tokens = {batch_tokens} does not fit 32 bits"),
            });
        }

        let tokens = batch_tokens;
        let images = tokens / (1 + image);
        let segments = (tokens / (SHORT_TEXT + 2)).max(2);
        let masker = ImageMasker::new(model, mask);
        let unmasked = loss.mvm == 0.0 || (loss.itm > 0.0 && loss.itm_share > 0.0);
        let masked = loss.mvm > 0.0;
        let scales = 0..model.scales.len();
        let visible_max = |s| match unmasked {
            true => model.cells(s),
            false => masker.visible_max()[s],
        };
        let hidden_max = |s: usize| masker.hidden_max()[s] * usize::from(masked);
        let visible = scales.clone().map(|s| images * visible_max(s)).collect();
        let hidden = scales.clone().map(|s| images * hidden_max(s)).collect();

        // The text length with the most masked pieces a token decides; a single longest text always fits.
        let mlm_of = |rows: usize| match loss.mlm > 0.0 {
            true => (SHORT_TEXT..=model.max_text - 2)
                .map(|p| (rows * masked_pieces(p, mask)).div_ceil(p + 2))
                .max()
                .unwrap_or(0)
                .max(masked_pieces(model.max_text - 2, mask).min(rows)),
            false => 0,
        };
        let mlm = mlm_of(tokens);
        let itm = match loss.itm > 0.0 && loss.itm_share > 0.0 {
            true => images,
            false => 0,
        };
        let pooled = match (loss.itc > 0.0, loss.itc_soft_labels) {
            (false, _) => 0,
            (true, false) => 2 * images,
            (true, true) => segments.max(2 * images),
        };
        let need = if loss.itc > 0.0 && model.pool == Pool::Mean {
            tokens
        } else {
            let hidden_sum: usize = scales.map(hidden_max).sum();
            let image_first = images * hidden_sum + mlm_of(tokens - images * (1 + image));
            (mlm.max(image_first) + itm + pooled).min(tokens)
        };
        Ok(Caps {
            tokens,
            segments,
            images,
            text: tokens,
            visible,
            hidden,
            mlm,
            itm,
            need,
            pooled,
        })
    }
}

/// Says what is wrong with the loss options that shape batches.
fn loss_check(loss: &LossConfig) -> Result<(), String> {
    if !(0.0..=1.0).contains(&loss.itm_share) {
        return Err(format!(
            "loss.itm_share = {} is not in [0, 1]",
            loss.itm_share
        ));
    }
    Ok(())
}
