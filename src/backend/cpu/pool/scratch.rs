//! Grow-only scratch memory of one thread.

/// One cache line of floats: the unit of allocation and of alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

const LANES: usize = 16;

/// Scratch memory of one thread: grows to the largest request and is then reused.
///
/// Contents are what the last user left: every buffer must be written before it is read.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// A buffer of `len` floats, aligned to 64 bytes, with arbitrary finite or stale contents.
    pub fn f32(&mut self, len: usize) -> &mut [f32] {
        let [buffer] = self.parts([len]);
        buffer
    }

    /// `N` disjoint buffers of the given lengths in floats, each aligned to 64 bytes.
    pub fn parts<const N: usize>(&mut self, lens: [usize; N]) -> [&mut [f32]; N] {
        let total: usize = lens.iter().map(|len| len.div_ceil(LANES)).sum();
        if self.lines.len() < total {
            self.lines.resize(total, Line([0.0; LANES]));
        }
        let mut rest = self.lines.as_mut_slice();
        lens.map(|len| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(len.div_ceil(LANES));
            rest = tail;
            // SAFETY: `Line` is `repr(C)` of 16 floats without padding, so the lines of `part` are
            // `16 * part.len() >= len` initialised floats, borrowed as `part` is.
            unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast::<f32>(), len) }
        })
    }
}
