//! A contact sheet: tiles in columns, each a picture with a caption.
//!
//! ```text
//! MARGIN | tile | GAP | tile | ... | MARGIN
//! tile = picture [edge * edge], PAD rows, caption lines of LEADING rows
//! ```
//! Every caption gets the room of the longest, so the tiles lie on a grid.

use super::{ADVANCE, Canvas, LEADING};
use crate::image::{Fit, Picture, square};

/// Empty pixels around the sheet.
pub const MARGIN: usize = 16;
/// Empty pixels between tiles.
pub const GAP: usize = 16;
/// Rows between a picture and its caption, and between the frame of a text and its lines.
pub const PAD: usize = 6;
/// Pictures are enlarged by whole factors until they have this edge, so that a caption has room.
const MIN_EDGE: usize = 192;
/// Pictures above this edge are shrunk to it.
const MAX_EDGE: usize = 512;

const GROUND: u8 = 16;
const FRAME: u8 = 64;
const PAPER: u8 = 32;

/// Grey of what is read first.
pub const BRIGHT: u8 = 240;
/// Grey of running text.
pub const PLAIN: u8 = 184;
/// Grey of what is read last.
pub const DIM: u8 = 128;

/// A line of text and its grey.
pub type Line = (String, u8);

/// One tile.
#[derive(Clone, Debug, Default)]
pub struct Tile<'a> {
    /// `[side * side]`; without it the tile is a framed box.
    pub picture: Option<&'a [u8]>,
    /// Lines in the box where there is no picture.
    pub inside: Vec<Line>,
    /// Lines beneath.
    pub caption: Vec<Line>,
}

/// How stored pictures of one side become those of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    side: usize,
    zoom: usize,
}

impl Size {
    /// For stored pictures of `side`, at least 1.
    pub fn of(side: usize) -> Self {
        let side = side.max(1);
        Self {
            side,
            zoom: MIN_EDGE.div_ceil(side),
        }
    }

    /// Edge of a picture on the sheet, pixels: the side, or a multiple of it, or 512.
    pub fn edge(self) -> usize {
        (self.side * self.zoom).min(MAX_EDGE)
    }

    /// Characters of a caption line.
    pub fn columns(self) -> usize {
        (self.edge() + 1) / ADVANCE
    }

    /// Characters and lines of the text inside a tile without picture.
    pub fn inside(self) -> (usize, usize) {
        let room = self.edge() - 2 * PAD;
        ((room + 1) / ADVANCE, room / LEADING)
    }
}

/// Where tile `i` lies on a sheet of `columns`, given the height of a caption: left and top.
fn place(i: usize, columns: usize, edge: usize, caption: usize) -> (usize, usize) {
    let step = edge + caption + GAP;
    (
        MARGIN + i % columns * (edge + GAP),
        MARGIN + i / columns * step,
    )
}

/// Draws a sheet of `columns` tiles a row, at least 1; also the left and top pixel of each tile.
pub fn draw(tiles: &[Tile], size: Size, columns: usize) -> (Canvas, Vec<(usize, usize)>) {
    let edge = size.edge();
    let columns = columns.clamp(1, tiles.len().max(1));
    let rows = tiles.len().div_ceil(columns);
    let lines = tiles.iter().map(|t| t.caption.len()).max().unwrap_or(0);
    let caption = if lines == 0 { 0 } else { PAD + lines * LEADING };
    let across = |n: usize, each: usize| 2 * MARGIN + n * each + n.saturating_sub(1) * GAP;
    let mut canvas = Canvas::new(across(columns, edge), across(rows, edge + caption), GROUND);
    let mut places = Vec::with_capacity(tiles.len());
    for (i, tile) in tiles.iter().enumerate() {
        let (x, y) = place(i, columns, edge, caption);
        places.push((x, y));
        match tile.picture {
            Some(picture) if size.side > MAX_EDGE => {
                let small = shrink(picture, size.side);
                canvas.picture(x, y, &small, MAX_EDGE, 1);
            }
            Some(picture) => canvas.picture(x, y, picture, size.side, size.zoom),
            None => {
                canvas.fill(x, y, edge, edge, FRAME);
                canvas.fill(x + 1, y + 1, edge - 2, edge - 2, PAPER);
                write(&mut canvas, x + PAD, y + PAD + 1, &tile.inside);
            }
        }
        write(&mut canvas, x, y + edge + PAD, &tile.caption);
    }
    (canvas, places)
}

fn write(canvas: &mut Canvas, x: usize, y: usize, lines: &[Line]) {
    for (i, (text, grey)) in lines.iter().enumerate() {
        canvas.text(x, y + i * LEADING, text, *grey);
    }
}

fn shrink(picture: &[u8], side: usize) -> Vec<u8> {
    let picture = Picture {
        width: side,
        height: side,
        pixels: picture.to_vec(),
    };
    square(&picture, MAX_EDGE, Fit::Stretch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_whole_multiples_until_pictures_are_large() {
        let edge = |side| Size::of(side).edge();
        assert_eq!([1, 32, 100, 128].map(edge), [192, 192, 200, 256]);
        assert_eq!(
            [192, 256, 512, 513, 4096].map(edge),
            [192, 256, 512, 512, 512]
        );
    }

    #[test]
    fn tiles_lie_on_a_grid_and_large_pictures_are_shrunk() {
        let tile = Tile {
            picture: Some(&[200; 600 * 600]),
            caption: vec![("a".into(), BRIGHT), ("b".into(), DIM)],
            ..Tile::default()
        };
        let tiles = [tile, Tile::default(), Tile::default()];
        let (canvas, places) = draw(&tiles, Size::of(600), 2);
        let step = 512 + PAD + 2 * LEADING + GAP;
        assert_eq!(canvas.width(), 2 * MARGIN + 2 * 512 + GAP);
        assert_eq!(canvas.height(), 2 * MARGIN + 2 * step - GAP);
        assert_eq!(places, [(16, 16), (544, 16), (16, 16 + step)]);
        let at = |x: usize, y: usize| canvas.pixels()[y * canvas.width() + x];
        assert_eq!((at(16, 16), at(527, 527), at(528, 300)), (200, 200, GROUND));
        assert_eq!((at(544, 16), at(545, 17)), (FRAME, PAPER));
    }

    #[test]
    fn no_tiles_make_an_empty_sheet() {
        let (canvas, places) = draw(&[], Size::of(32), 6);
        assert!(places.is_empty() && canvas.height() == 2 * MARGIN);
    }
}
