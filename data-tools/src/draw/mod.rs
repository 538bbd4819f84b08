//! Grey pictures with text: a canvas, a font, and the contact sheet made with them.

mod font;
pub mod sheet;

/// Columns from one character to the next.
pub const ADVANCE: usize = font::WIDTH + 1;
/// Rows from one line of text to the next.
pub const LEADING: usize = font::HEIGHT + 3;

/// A grey picture to draw on. What falls outside is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    width: usize,
    height: usize,
    /// `[height * width]`, row-major, black is 0.
    pixels: Vec<u8>,
}

impl Canvas {
    /// A canvas of one grey.
    pub fn new(width: usize, height: usize, grey: u8) -> Self {
        Self {
            width,
            height,
            pixels: vec![grey; width * height],
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `[height * width]`, row-major.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    fn set(&mut self, x: usize, y: usize, grey: u8) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = grey;
        }
    }

    /// A filled rectangle.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, grey: u8) {
        for row in y..y + height {
            for column in x..x + width {
                self.set(column, row, grey);
            }
        }
    }

    /// A square picture, every pixel drawn as `zoom * zoom`. `picture: [side * side]`
    pub fn picture(&mut self, x: usize, y: usize, picture: &[u8], side: usize, zoom: usize) {
        for (i, &grey) in picture.iter().enumerate() {
            let (column, row) = (i % side, i / side);
            self.fill(x + column * zoom, y + row * zoom, zoom, zoom, grey);
        }
    }

    /// A line of text, its top left corner at `x`, `y`; [`ADVANCE`] columns a character.
    pub fn text(&mut self, x: usize, y: usize, text: &str, grey: u8) {
        for (i, c) in text.chars().enumerate() {
            for row in 0..font::HEIGHT {
                for column in 0..font::WIDTH {
                    if font::ink(c, column, row) {
                        self.set(x + i * ADVANCE + column, y + row, grey);
                    }
                }
            }
        }
    }
}

/// `text` in lines of at most `columns` characters, broken between words where they fit. What does
/// not fit into `lines` lines is replaced by `...`.
pub fn wrap(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut done: Vec<String> = Vec::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            // One line too many shows that something is left over.
            if done.len() > lines {
                break;
            }
            let space = usize::from(length > 0);
            match done.last_mut() {
                Some(line) if length + space + word.len() <= columns => {
                    line.extend(std::iter::repeat_n(' ', space));
                    line.extend(&word);
                    length += space + word.len();
                    word.clear();
                }
                // A word longer than a line starts a line of its own and is broken at its end.
                _ => {
                    let rest = word.split_off(word.len().min(columns));
                    length = word.len();
                    done.push(word.into_iter().collect());
                    word = rest;
                }
            }
        }
    }
    if done.len() > lines {
        done.truncate(lines);
        if let Some(last) = done.last_mut() {
            let kept = last.chars().count().min(columns.saturating_sub(3));
            *last = last.chars().take(kept).chain("...".chars()).collect();
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words_and_cut_at_its_end() {
        assert_eq!(
            wrap("the lungs are clear", 9, 5),
            ["the lungs", "are clear"]
        );
        assert_eq!(wrap("the lungs are clear", 9, 1), ["the lu..."]);
        assert_eq!(wrap("a lungs", 9, 0), Vec::<String>::new());
        assert_eq!(
            wrap("pneumothorax no", 5, 9),
            ["pneum", "othor", "ax no"],
            "a word longer than a line is broken"
        );
        assert_eq!(wrap(" \n ", 5, 3), Vec::<String>::new());
        assert!(wrap("a b c d e f g", 1, 2).len() == 2);
    }

    #[test]
    fn drawing_is_cut_at_the_edge() {
        let mut canvas = Canvas::new(8, 8, 0);
        canvas.text(4, 0, "MM", 255);
        canvas.picture(6, 6, &[1, 2, 3, 4], 2, 2);
        assert_eq!(canvas.pixels()[4], 255, "the left stem of M");
        assert_eq!(canvas.pixels()[7 * 8 + 7], 1);
    }
}
