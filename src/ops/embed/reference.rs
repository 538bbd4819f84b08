//! Embedding, token by token.

use super::{Image, Text};
use crate::ops::Real;

/// Row `r` of a table of `c` columns.
fn at<F>(table: &[F], c: usize, r: u32) -> &[F] {
    &table[r as usize * c..][..c]
}

/// `to[r] += from`.
fn add<F: Real>(to: &mut [F], c: usize, r: u32, from: &[F]) {
    for (t, &f) in to[r as usize * c..][..c].iter_mut().zip(from) {
        *t += f;
    }
}

/// Writes the text rows of `x` `[T, c]`. `word`: `[V, c]`; `pos`: `[max_text, c]`; `modality`: `[2, c]`.
pub fn text_forward<F: Real>(
    c: usize,
    text: Text<'_>,
    word: &[F],
    pos: &[F],
    modality: &[F],
    x: &mut [F],
) {
    for (t, &row) in text.row.iter().enumerate() {
        let (word, pos) = (at(word, c, text.id[t]), at(pos, c, text.pos[t]));
        for i in 0..c {
            x[row as usize * c + i] = word[i] + pos[i] + modality[i];
        }
    }
}

/// Adds the text rows of `dx` `[T, c]` into the gradients of the tables of [`text_forward`].
pub fn text_backward<F: Real>(
    c: usize,
    text: Text<'_>,
    dx: &[F],
    dword: &mut [F],
    dpos: &mut [F],
    dmodality: &mut [F],
) {
    for (t, &row) in text.row.iter().enumerate() {
        let dx = at(dx, c, row);
        add(dword, c, text.id[t], dx);
        add(dpos, c, text.pos[t], dx);
        add(dmodality, c, 0, dx);
    }
}

/// Writes the rows of `x` `[T, c]` of one scale. `proj`: `[V, c]`; `cell_pos`: `[cells, c]`;
/// `mask`: `[c]`; `modality`: `[2, c]`.
pub fn image_forward<F: Real>(
    c: usize,
    image: Image<'_>,
    proj: &[F],
    cell_pos: &[F],
    mask: &[F],
    modality: &[F],
    x: &mut [F],
) {
    assert_eq!(proj.len(), image.vis_row.len() * c);
    let modality = at(modality, c, 1);
    for (v, &row) in image.vis_row.iter().enumerate() {
        let (proj, pos) = (at(proj, c, v as u32), at(cell_pos, c, image.vis_cell[v]));
        for i in 0..c {
            x[row as usize * c + i] = proj[i] + pos[i] + modality[i];
        }
    }
    for (h, &row) in image.hid_row.iter().enumerate() {
        let pos = at(cell_pos, c, image.hid_cell[h]);
        for i in 0..c {
            x[row as usize * c + i] = mask[i] + pos[i] + modality[i];
        }
    }
}

/// Gradients of [`image_forward`]: overwrites `dproj` `[V, c]`, adds into the rest.
pub fn image_backward<F: Real>(
    c: usize,
    image: Image<'_>,
    dx: &[F],
    dproj: &mut [F],
    dcell_pos: &mut [F],
    dmask: &mut [F],
    dmodality: &mut [F],
) {
    assert_eq!(dproj.len(), image.vis_row.len() * c);
    for (v, &row) in image.vis_row.iter().enumerate() {
        let dx = at(dx, c, row);
        dproj[v * c..][..c].copy_from_slice(dx);
        add(dcell_pos, c, image.vis_cell[v], dx);
        add(dmodality, c, 1, dx);
    }
    for (h, &row) in image.hid_row.iter().enumerate() {
        let dx = at(dx, c, row);
        add(dmask, c, 0, dx);
        add(dcell_pos, c, image.hid_cell[h], dx);
        add(dmodality, c, 1, dx);
    }
}
