//! What every batch must satisfy, written from the documentation of `Batch` and not from its builder.

use super::*;
use crate::model::Pool;
use std::collections::BTreeSet;

/// Checks a batch against the data set it was made from.
pub fn check_batch(batch: &Batch, memory: &Memory, recipe: &Recipe) {
    let (caps, model) = (&recipe.caps, &recipe.model);
    let tokens = batch.tokens();
    within(batch, caps);

    // Every token row is one text token or one image token.
    let mut text_of = vec![None; tokens];
    for ((&row, &id), &pos) in batch
        .text_row
        .iter()
        .zip(&batch.text_id)
        .zip(&batch.text_pos)
    {
        assert!(text_of[row as usize].replace((id, pos)).is_none());
    }
    let mut image_of = vec![None; tokens];
    let mut needed = BTreeSet::new();
    for (s, scale) in batch.scales.iter().enumerate() {
        let visible = scale
            .vis_row
            .iter()
            .zip(&scale.vis_img)
            .zip(&scale.vis_cell);
        let hidden = scale
            .hid_row
            .iter()
            .zip(&scale.hid_img)
            .zip(&scale.hid_cell);
        needed.extend(scale.hid_row.iter().copied());
        for (is_target, ((&row, &img), &cell)) in
            visible.map(|v| (false, v)).chain(hidden.map(|h| (true, h)))
        {
            let image = image_of[row as usize].replace((img, s, cell));
            assert!(image.is_none() && text_of[row as usize].is_none());
            let ratio = model.scales[s] / model.scales[0];
            let (y, x) = (cell as usize / model.grid(s), cell as usize % model.grid(s));
            let words = &batch.hidden[img as usize * model.hidden_words()..];
            let all = (0..ratio * ratio).all(|i| {
                let at = (y * ratio + i / ratio) * model.grid(0) + x * ratio + i % ratio;
                words[at / 32] >> (at % 32) & 1 == 1
            });
            assert_eq!(all, is_target, "scale {s} cell {cell}");
        }
    }
    let both = |r: &usize| text_of[*r].is_some() ^ image_of[*r].is_some();
    assert!((0..tokens).all(|r| both(&r)));

    // Segments lie as documented and hold what the records hold.
    let mut labels: Vec<(u32, u32)> = (0..batch.mlm_need.len())
        .map(|i| {
            (
                batch.need_row[batch.mlm_need[i] as usize],
                batch.mlm_label[i],
            )
        })
        .collect();
    assert!(labels.is_sorted());
    needed.extend(labels.iter().map(|l| l.0));
    let (mut image, mut itm, mut pooled) = (0, 0, [Vec::new(), Vec::new(), Vec::new(), Vec::new()]);
    let mut segment = 0;
    for sample in &batch.samples {
        assert_eq!(sample.segment, segment);
        let (own, other) = (
            &memory.records[sample.record as usize],
            &memory.records[sample.text_record as usize],
        );
        let split = match sample.regime {
            Regime::Paired => {
                !sample.matching
                    && (recipe.loss.itc > 0.0 || recipe.data.paired_attention == Attention::Split)
            }
            Regime::Coupled => recipe.data.coupled_attention == Attention::Split,
            _ => false,
        };
        let has_image = sample.regime != Regime::TextOnly;
        let has_text = sample.regime != Regime::ImageOnly;
        let parts: &[(bool, bool)] = match split {
            true => &[(false, true), (true, false)],
            false => &[(has_text, has_image)],
        };
        for &(with_text, with_image) in parts {
            let ends = &batch.seg[segment as usize..][..2];
            let mut row = ends[0];
            let mut text = vec![recipe.text.cls];
            if with_text {
                let keep = other.pieces.len().min(model.max_text - 2);
                text.extend(other.pieces[..keep].iter().map(|&p| u32::from(p)));
                text.push(recipe.text.sep);
            }
            let mut masked = 0;
            for (pos, &right) in text.iter().enumerate() {
                let (id, at) = text_of[row as usize].unwrap();
                assert_eq!(at as usize, pos);
                if labels.first().is_some_and(|l| l.0 == row) {
                    assert_eq!(labels.remove(0).1, right);
                    assert!(pos > 0 && pos + 1 < text.len(), "a special piece is masked");
                    masked += 1;
                } else {
                    assert_eq!(id, right);
                }
                row += 1;
            }
            let most = masked_pieces(text.len().saturating_sub(2), &recipe.mask);
            if !with_text || sample.matching || recipe.loss.mlm == 0.0 {
                assert_eq!(masked, 0);
            } else {
                assert!((1..=most).contains(&masked), "{masked} of {most}");
            }
            if with_image {
                let pixels = model.image * model.image;
                assert!(own.image.as_deref() == Some(&batch.images[image * pixels..][..pixels]));
                for (s, cell) in (0..model.scales.len())
                    .flat_map(|s| (0..model.cells(s) as u32).map(move |c| (s, c)))
                {
                    assert_eq!(image_of[row as usize], Some((image as u32, s, cell)));
                    row += 1;
                }
                let words = model.hidden_words();
                let any = batch.hidden[image * words..][..words]
                    .iter()
                    .any(|&w| w != 0);
                let masks = !sample.matching && recipe.loss.mvm > 0.0 && recipe.mask.image > 0.0;
                assert_eq!(any, masks);
                image += 1;
            }
            assert_eq!(row, ends[1]);
            let is_pooled = recipe.loss.itc > 0.0
                && !sample.matching
                && match sample.regime {
                    Regime::Paired => true,
                    Regime::Coupled => false,
                    _ => recipe.loss.itc_soft_labels && own.labels.iter().any(|&l| l != -2),
                };
            if is_pooled {
                let rows = match model.pool {
                    Pool::Cls => ends[0]..ends[0] + 1,
                    Pool::Mean => ends[0]..ends[1],
                };
                needed.extend(rows.clone());
                let kind = 2 * usize::from(!with_image) + usize::from(!split);
                pooled[kind].push((rows, &own.labels));
            }
            segment += 1;
        }
        if sample.matching {
            let row = batch.need_row[batch.itm_need[itm] as usize];
            assert_eq!(row, batch.seg[sample.segment as usize]);
            let right = u32::from(sample.record == sample.text_record);
            assert_eq!(batch.itm_label[itm], right);
            needed.insert(row);
            itm += 1;
        }
    }
    assert_eq!(segment as usize, batch.segments());
    assert_eq!((itm, labels.len()), (batch.itm_need.len(), 0));
    assert_eq!(image * model.image * model.image, batch.images.len());
    assert_eq!(image * model.hidden_words(), batch.hidden.len());

    // Needed rows are exactly those that a loss reads, in order, and every list agrees.
    assert_eq!(batch.need_row, needed.into_iter().collect::<Vec<_>>());
    assert_eq!(batch.need_seg.len(), batch.seg.len());
    for (i, &offset) in batch.need_seg.iter().enumerate() {
        let before = batch.need_row.iter().filter(|&&r| r < batch.seg[i]).count();
        assert_eq!(offset as usize, before);
    }
    for scale in &batch.scales {
        let rows = scale.hid_need.iter().map(|&n| batch.need_row[n as usize]);
        assert!(rows.eq(scale.hid_row.iter().copied()));
    }
    assert_eq!(batch.pool_pairs, pooled[0].len());
    assert_eq!(batch.pool_images, pooled[0].len() + pooled[1].len());
    let pooled: Vec<_> = pooled.concat();
    assert_eq!(pooled.len(), batch.pool_range.len());
    let labels: Vec<i8> = pooled.iter().flat_map(|p| p.1.iter().copied()).collect();
    assert_eq!(labels, batch.pool_labels);
    for ((rows, _), &[from, to]) in pooled.into_iter().zip(&batch.pool_range) {
        let at = &batch.need_row[from as usize..to as usize];
        assert!(at.iter().copied().eq(rows));
    }
}

/// No list is longer than its cap, and none was reallocated.
fn within(batch: &Batch, caps: &Caps) {
    let lengths = [
        (batch.tokens(), caps.tokens),
        (batch.segments(), caps.segments),
        (
            batch.hidden.len(),
            caps.images * (batch.hidden.capacity() / caps.images.max(1)),
        ),
        (batch.text_row.len(), caps.text),
        (batch.mlm_need.len(), caps.mlm),
        (batch.itm_need.len(), caps.itm),
        (batch.need_row.len(), caps.need),
        (batch.pool_range.len(), caps.pooled),
        (batch.samples.len(), caps.segments),
    ];
    for (i, (len, cap)) in lengths.into_iter().enumerate() {
        assert!(len <= cap, "list {i}: {len} above the cap {cap}");
    }
    for (s, scale) in batch.scales.iter().enumerate() {
        assert!(scale.vis_row.len() <= caps.visible[s]);
        assert!(scale.hid_row.len() <= caps.hidden[s]);
    }
}
