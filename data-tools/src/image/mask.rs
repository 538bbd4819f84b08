//! Borders made black: burned-in names, side markers and rulers stand there.

use super::Picture;

/// Makes a strip along each edge black, `percent` of the picture's width or height wide, rounded up.
pub fn border(picture: &mut Picture, percent: f64) {
    let strip = |side: usize| ((side as f64 * percent / 100.0).ceil() as usize).min(side);
    let (across, down) = (strip(picture.width), strip(picture.height));
    if across == 0 || down == 0 {
        return;
    }
    let (width, height) = (picture.width, picture.height);
    for (y, row) in picture.pixels.chunks_exact_mut(width).enumerate() {
        if y < down || y >= height - down {
            row.fill(0);
        } else {
            row[..across].fill(0);
            row[width - across..].fill(0);
        }
    }
}
