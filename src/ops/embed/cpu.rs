//! Embedding by columns: a task owns a block of columns of every matrix, so repeated rows, ids and
//! cells are no race and every sum has one order.

use super::{Image, Text};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::COLUMNS;
use std::ops::Range;

/// The columns `columns` of row `r` of a table of `c` columns.
fn at<'a>(table: &'a [f32], c: usize, columns: &Range<usize>, r: u32) -> &'a [f32] {
    &table[r as usize * c + columns.start..r as usize * c + columns.end]
}

/// The same of a shared table.
///
/// # Safety
/// No other task has these columns, and no other part of this task is in use.
#[allow(clippy::mut_from_ref)]
unsafe fn part<'a>(
    table: &'a Shared<'_, f32>,
    c: usize,
    columns: &Range<usize>,
    r: u32,
) -> &'a mut [f32] {
    let start = r as usize * c;
    // SAFETY: the caller's promise.
    unsafe { table.slice(start + columns.start..start + columns.end) }
}

/// `out = a + b + m`.
fn write(out: &mut [f32], a: &[f32], b: &[f32], m: &[f32]) {
    for (((out, &a), &b), &m) in out.iter_mut().zip(a).zip(b).zip(m) {
        *out = a + b + m;
    }
}

/// `to += from`.
fn add(to: &mut [f32], from: &[f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// See [`super::reference::text_forward`]. 12 c bytes a token.
pub fn text_forward(
    pool: &Pool,
    c: usize,
    text: Text<'_>,
    word: &[f32],
    pos: &[f32],
    modality: &[f32],
    x: &mut [f32],
) {
    let x = Shared::new(x);
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        let modality = at(modality, c, &columns, 0);
        for (t, &row) in text.row.iter().enumerate() {
            // SAFETY: the chunks of one run are disjoint columns; one part at a time.
            let x = unsafe { part(&x, c, &columns, row) };
            let word = at(word, c, &columns, text.id[t]);
            write(x, word, at(pos, c, &columns, text.pos[t]), modality);
        }
    });
}

/// See [`super::reference::text_backward`].
pub fn text_backward(
    pool: &Pool,
    c: usize,
    text: Text<'_>,
    dx: &[f32],
    dword: &mut [f32],
    dpos: &mut [f32],
    dmodality: &mut [f32],
) {
    let (dword, dpos) = (Shared::new(dword), Shared::new(dpos));
    let dmodality = Shared::new(dmodality);
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        let mut sum = [0.0; COLUMNS];
        for (t, &row) in text.row.iter().enumerate() {
            let dx = at(dx, c, &columns, row);
            // SAFETY: the chunks of one run are disjoint columns; one part of each table at a time.
            unsafe {
                add(part(&dword, c, &columns, text.id[t]), dx);
                add(part(&dpos, c, &columns, text.pos[t]), dx);
            }
            add(&mut sum, dx);
        }
        // SAFETY: as above.
        add(unsafe { part(&dmodality, c, &columns, 0) }, &sum);
    });
}

/// See [`super::reference::image_forward`]. 12 c bytes a token.
#[allow(clippy::too_many_arguments)]
pub fn image_forward(
    pool: &Pool,
    c: usize,
    image: Image<'_>,
    proj: &[f32],
    cell_pos: &[f32],
    mask: &[f32],
    modality: &[f32],
    x: &mut [f32],
) {
    assert_eq!(proj.len(), image.vis_row.len() * c);
    let x = Shared::new(x);
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        let modality = at(modality, c, &columns, 1);
        for (v, &row) in image.vis_row.iter().enumerate() {
            // SAFETY: the chunks of one run are disjoint columns; one part at a time.
            let x = unsafe { part(&x, c, &columns, row) };
            let pos = at(cell_pos, c, &columns, image.vis_cell[v]);
            write(x, at(proj, c, &columns, v as u32), pos, modality);
        }
        let mask = at(mask, c, &columns, 0);
        for (h, &row) in image.hid_row.iter().enumerate() {
            // SAFETY: as above.
            let x = unsafe { part(&x, c, &columns, row) };
            let pos = at(cell_pos, c, &columns, image.hid_cell[h]);
            write(x, mask, pos, modality);
        }
    });
}

/// See [`super::reference::image_backward`].
#[allow(clippy::too_many_arguments)]
pub fn image_backward(
    pool: &Pool,
    c: usize,
    image: Image<'_>,
    dx: &[f32],
    dproj: &mut [f32],
    dcell_pos: &mut [f32],
    dmask: &mut [f32],
    dmodality: &mut [f32],
) {
    assert_eq!(dproj.len(), image.vis_row.len() * c);
    let (dproj, dcell_pos) = (Shared::new(dproj), Shared::new(dcell_pos));
    let (dmask, dmodality) = (Shared::new(dmask), Shared::new(dmodality));
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        let (mut visible, mut hidden) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        for (v, &row) in image.vis_row.iter().enumerate() {
            let dx = at(dx, c, &columns, row);
            // SAFETY: the chunks of one run are disjoint columns; one part of each table at a time.
            unsafe {
                part(&dproj, c, &columns, v as u32).copy_from_slice(dx);
                add(part(&dcell_pos, c, &columns, image.vis_cell[v]), dx);
            }
            add(&mut visible, dx);
        }
        for (h, &row) in image.hid_row.iter().enumerate() {
            let dx = at(dx, c, &columns, row);
            // SAFETY: as above.
            add(
                unsafe { part(&dcell_pos, c, &columns, image.hid_cell[h]) },
                dx,
            );
            add(&mut hidden, dx);
        }
        // SAFETY: as above.
        unsafe {
            add(part(&dmask, c, &columns, 0), &hidden);
            add(part(&dmodality, c, &columns, 1), &hidden);
            add(part(&dmodality, c, &columns, 1), &visible);
        }
    });
}
