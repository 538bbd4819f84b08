use super::{Image, Text, cpu, reference};
use crate::ops::check::draw::{distinct, dot, indices, normal, same_bits, stream, wide};
use crate::ops::check::{REDUCTION, assert_close, assert_gradient};

#[test]
fn text_gradients() {
    let mut s = stream(6);
    for (n, rows, c) in [(0, 2, 3), (1, 1, 1), (6, 9, 5)] {
        let row = distinct(&mut s, n, rows as u32);
        let (id, pos) = (indices(&mut s, n, 4), indices(&mut s, n, 3));
        let text = Text {
            row: &row,
            id: &id,
            pos: &pos,
        };
        let tables = [4 * c, 3 * c, 2 * c].map(|len| normal(&mut s, len));
        let dx = normal(&mut s, rows * c);
        let loss = |tables: &[Vec<f64>; 3]| {
            let mut x = vec![0.0; rows * c];
            reference::text_forward(c, text, &tables[0], &tables[1], &tables[2], &mut x);
            dot(&x, &dx)
        };
        let mut grads = tables.clone().map(|t| vec![1.0; t.len()]);
        let [dword, dpos, dmodality] = &mut grads;
        reference::text_backward(c, text, &dx, dword, dpos, dmodality);
        for (i, grad) in grads.iter_mut().enumerate() {
            grad.iter_mut().for_each(|g| *g -= 1.0);
            assert_gradient(
                &format!("embed text {n} table {i}"),
                &tables[i],
                grad,
                |t| {
                    let mut tables = tables.clone();
                    tables[i] = t.to_vec();
                    loss(&tables)
                },
            );
        }
    }
}

#[test]
fn image_gradients() {
    let mut s = stream(7);
    for (v, h, rows, c) in [(0, 0, 2, 3), (0, 2, 2, 1), (3, 0, 4, 2), (4, 3, 9, 5)] {
        let row = distinct(&mut s, v + h, rows as u32);
        let cell = indices(&mut s, v + h, 4);
        let image = Image {
            vis_row: &row[..v],
            vis_cell: &cell[..v],
            hid_row: &row[v..],
            hid_cell: &cell[v..],
        };
        // The projection, the cells' positions, the mask, the modalities.
        let inputs = [v * c, 4 * c, c, 2 * c].map(|len| normal(&mut s, len));
        let dx = normal(&mut s, rows * c);
        let loss = |i: &[Vec<f64>; 4]| {
            let mut x = vec![0.0; rows * c];
            reference::image_forward(c, image, &i[0], &i[1], &i[2], &i[3], &mut x);
            dot(&x, &dx)
        };
        let mut grads = inputs.clone().map(|t| vec![1.0; t.len()]);
        let [dproj, dcell, dmask, dmodality] = &mut grads;
        reference::image_backward(c, image, &dx, dproj, dcell, dmask, dmodality);
        for (i, grad) in grads.iter_mut().enumerate() {
            if i > 0 {
                grad.iter_mut().for_each(|g| *g -= 1.0);
            }
            assert_gradient(
                &format!("embed image {v} {h} input {i}"),
                &inputs[i],
                grad,
                |t| {
                    let mut inputs = inputs.clone();
                    inputs[i] = t.to_vec();
                    loss(&inputs)
                },
            );
        }
    }
}

#[test]
fn rows_of_others_are_left_alone() {
    let mut x = [7.0f64; 3];
    let text = Text {
        row: &[2],
        id: &[1],
        pos: &[0],
    };
    reference::text_forward(1, text, &[0.0, 10.0], &[200.0], &[3000.0, 0.0], &mut x);
    let image = Image {
        vis_row: &[],
        vis_cell: &[],
        hid_row: &[0],
        hid_cell: &[1],
    };
    reference::image_forward(1, image, &[], &[0.0, 1.0], &[20.0], &[0.0, 300.0], &mut x);
    assert_eq!(x, [321.0, 7.0, 3210.0]);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(106);
    for (nt, v, h) in [(0, 0, 0), (1, 0, 1), (40, 33, 21)] {
        for c in [1, 5, 64, 130] {
            let rows = nt + v + h + 2;
            let row = distinct(&mut s, nt + v + h, rows as u32);
            let (id, pos) = (indices(&mut s, nt, 7), indices(&mut s, nt, 5));
            let cell = indices(&mut s, v + h, 6);
            let text = Text {
                row: &row[..nt],
                id: &id,
                pos: &pos,
            };
            let image = Image {
                vis_row: &row[nt..nt + v],
                vis_cell: &cell[..v],
                hid_row: &row[nt + v..],
                hid_cell: &cell[v..],
            };
            // Word, text position, modality, projection, cell position, mask, and the rows.
            let inputs = [7 * c, 5 * c, 2 * c, v * c, 6 * c, c].map(|n| normal::<f32>(&mut s, n));
            let dx = normal::<f32>(&mut s, rows * c);
            let got = same_bits(|pool| {
                let [word, pos, modality, proj, cell, mask] = &inputs;
                let mut x = vec![7.0; rows * c];
                cpu::text_forward(pool, c, text, word, pos, modality, &mut x);
                cpu::image_forward(pool, c, image, proj, cell, mask, modality, &mut x);
                let [mut gw, mut gp, mut gm, mut gj, mut gc, mut gk] = inputs.clone();
                cpu::text_backward(pool, c, text, &dx, &mut gw, &mut gp, &mut gm);
                cpu::image_backward(pool, c, image, &dx, &mut gj, &mut gc, &mut gk, &mut gm);
                [x, gw, gp, gm, gj, gc, gk]
            });
            let inputs = inputs.each_ref().map(|x| wide(x));
            let dx = wide(&dx);
            let [word, pos, modality, proj, cell, mask] = &inputs;
            let mut x = vec![7.0; rows * c];
            reference::text_forward(c, text, word, pos, modality, &mut x);
            reference::image_forward(c, image, proj, cell, mask, modality, &mut x);
            let [mut gw, mut gp, mut gm, mut gj, mut gc, mut gk] = inputs.clone();
            reference::text_backward(c, text, &dx, &mut gw, &mut gp, &mut gm);
            reference::image_backward(c, image, &dx, &mut gj, &mut gc, &mut gk, &mut gm);
            for (i, (got, want)) in got.iter().zip([x, gw, gp, gm, gj, gc, gk]).enumerate() {
                assert_close(
                    &format!("embed {nt} {v} {h} {c} out {i}"),
                    got,
                    &want,
                    REDUCTION,
                );
            }
        }
    }
}
