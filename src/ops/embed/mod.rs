//! Writes the token states that enter the trunk: `x` `[T, C]`, each row by exactly one part.
//!
//! - text token: `word[id] + pos[pos] + modality[0]`;
//! - visible image token of a scale: `proj + cell_pos[cell] + modality[1]`, where `proj` is the linear
//!   projection of its patch;
//! - hidden image token of a scale: `mask + cell_pos[cell] + modality[1]`.
//!
//! Backward adds into the tables and overwrites `dproj`. Ids, positions and cells may repeat.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// The text tokens of a batch, `Nt` of them.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Row of `x`. `[Nt]`
    pub row: &'a [u32],
    /// Row of the word table. `[Nt]`
    pub id: &'a [u32],
    /// Row of the position table. `[Nt]`
    pub pos: &'a [u32],
}

/// The image tokens of one scale: `V` visible or partly visible ones and `H` hidden ones.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Row of `x` of each visible token. `[V]`
    pub vis_row: &'a [u32],
    /// Its row of the cell table. `[V]`
    pub vis_cell: &'a [u32],
    /// Row of `x` of each hidden token. `[H]`
    pub hid_row: &'a [u32],
    /// Its row of the cell table. `[H]`
    pub hid_cell: &'a [u32],
}
