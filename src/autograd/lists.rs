//! What the recording methods take: index lists of a batch, tables, options.

use super::tape::{Param, Tensor};
use crate::backend::{Bytes, DropoutSite, Rows, Words};
use crate::ops::linear::Act;
use crate::ops::patch_gather;

/// Index lists of one scale's image tokens.
#[derive(Clone, Copy, Debug)]
pub struct ScaleLists {
    /// Visible tokens.
    pub visible: Rows,
    /// Hidden tokens.
    pub hidden: Rows,
    /// `[V]` token rows.
    pub vis_row: Words,
    /// `[V]` cells.
    pub vis_cell: Words,
    /// `[H]` token rows.
    pub hid_row: Words,
    /// `[H]` cells.
    pub hid_cell: Words,
}

/// Index lists of the text tokens.
#[derive(Clone, Copy, Debug)]
pub struct TextLists {
    /// Text tokens.
    pub rows: Rows,
    /// `[Nt]` token rows.
    pub row: Words,
    /// `[Nt]` piece ids.
    pub id: Words,
    /// `[Nt]` positions.
    pub pos: Words,
}

/// Tables of the text part of the embedding.
#[derive(Clone, Copy, Debug)]
pub struct TextTables {
    /// `[vocab, C]`
    pub word: Param,
    /// `[max_text, C]`
    pub position: Param,
    /// `[2, C]`: text, image.
    pub modality: Param,
}

/// Tables of one scale of the image part of the embedding.
#[derive(Clone, Copy, Debug)]
pub struct ScaleTables {
    /// `[cells, C]`
    pub position: Param,
    /// `[C]`
    pub mask: Param,
    /// `[2, C]`: text, image.
    pub modality: Param,
}

/// Images and where the rows of a call look into them.
#[derive(Clone, Copy, Debug)]
pub struct ImageView {
    /// Geometry and normalisation.
    pub grid: patch_gather::Shape,
    /// The images.
    pub images: Bytes,
    /// How many.
    pub count: Rows,
    /// `[rows]` image of each row.
    pub img: Words,
    /// `[rows]` cell of each row.
    pub cell: Words,
}

/// What a linear layer does besides multiplying.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Activation.
    pub act: Act,
    /// Added to the result.
    pub residual: Option<Tensor>,
    /// Dropout before the residual is added.
    pub dropout: Option<DropoutSite>,
}

impl Linear {
    /// A product and a bias, nothing else.
    pub const PLAIN: Linear = Linear {
        act: Act::None,
        residual: None,
        dropout: None,
    };
}

/// Query and key segments of an attention call.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    /// How many.
    pub count: Rows,
    /// `[S + 1]` offsets over query rows.
    pub q: Words,
    /// `[S + 1]` offsets over key rows.
    pub k: Words,
}
