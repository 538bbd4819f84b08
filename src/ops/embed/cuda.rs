//! Launches of `kernels/embed.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};
use half::bf16;

/// Warps of a block.
const WARPS: usize = 4;

/// Tokens that a warp writes.
const TOKENS: usize = 16;

/// Tokens that a warp of backward sums.
const PIECE: usize = 32;

/// Columns of a block.
const SPAN: usize = 256;

/// Where the parts of the workspace begin.
const ALIGN: usize = 256;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "embed", name }
}

/// Arguments of [`text_forward`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TextForward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Text tokens.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// `[rows]`
    pub row: Ptr<u32>,
    /// `[rows]`
    pub id: Ptr<u32>,
    /// `[rows]`
    pub pos: Ptr<u32>,
    /// `[vocab, c]`
    pub word: Ptr<bf16>,
    /// `[max_text, c]`
    pub position: Ptr<bf16>,
    /// `[2, c]`
    pub modality: Ptr<bf16>,
    /// `[tokens, c]`
    pub x: Ptr<bf16>,
}

fn forward_grid(cap: usize, c: u32) -> [u32; 3] {
    [
        cap.div_ceil(WARPS * TOKENS) as u32,
        c.div_ceil(SPAN as u32),
        1,
    ]
}

/// See [`super::reference::text_forward`]; `cap` is the most text tokens.
pub fn text_forward(gpu: &Gpu, cap: usize, args: &TextForward) -> Result<(), BackendError> {
    let grid = forward_grid(cap, args.c);
    gpu.launch(
        &kernel("embed_text_fwd_bf16"),
        grid,
        32 * WARPS as u32,
        0,
        args,
    )
}

/// Arguments of [`scale_forward`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ScaleForward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Visible tokens.
    pub visible: Rows,
    /// Hidden tokens.
    pub hidden: Rows,
    /// Columns.
    pub c: u32,
    /// `[visible]`
    pub vis_row: Ptr<u32>,
    /// `[visible]`
    pub vis_cell: Ptr<u32>,
    /// `[hidden]`
    pub hid_row: Ptr<u32>,
    /// `[hidden]`
    pub hid_cell: Ptr<u32>,
    /// `[visible, c]`
    pub proj: Ptr<bf16>,
    /// `[cells, c]`
    pub position: Ptr<bf16>,
    /// `[c]`
    pub mask: Ptr<bf16>,
    /// `[2, c]`
    pub modality: Ptr<bf16>,
    /// `[tokens, c]`
    pub x: Ptr<bf16>,
}

/// See [`super::reference::image_forward`]; `cap` is the most visible and hidden tokens together.
pub fn scale_forward(gpu: &Gpu, cap: usize, args: &ScaleForward) -> Result<(), BackendError> {
    let grid = forward_grid(cap, args.c);
    gpu.launch(
        &kernel("embed_scale_fwd_bf16"),
        grid,
        32 * WARPS as u32,
        0,
        args,
    )
}

/// A table that gradients are added into; see `kernels/embed.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Table {
    key: [Ptr<u32>; 2],
    grad: Ptr<f32>,
    sorted: Ptr<[u32; 2]>,
    spare: Ptr<[u32; 2]>,
    partial: Ptr<f32>,
    bits: u32,
}

impl Table {
    /// A table of `rows` rows; its scratch is not placed yet.
    fn new(key: [Ptr<u32>; 2], grad: Ptr<f32>, rows: usize) -> Self {
        Self {
            key,
            grad,
            sorted: Ptr::NULL,
            spare: Ptr::NULL,
            partial: Ptr::NULL,
            bits: rows.saturating_sub(1).checked_ilog2().map_or(0, |n| n + 1),
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Backward {
    run: Ptr<DeviceRun>,
    part: [Rows; 2],
    c: u32,
    row: [Ptr<u32>; 2],
    dx: Ptr<bf16>,
    dproj: Ptr<bf16>,
    table: [Table; 2],
    totals: Ptr<f32>,
    dmodality: Ptr<f32>,
    dmask: Ptr<f32>,
}

/// Bytes of one table's sorted list, of its sums, and of the sums over all tokens.
fn scratch(cap: usize, c: usize) -> [usize; 3] {
    let spans = c.div_ceil(SPAN) * SPAN * size_of::<f32>();
    let blocks = cap.div_ceil(WARPS * PIECE);
    [
        cap * size_of::<[u32; 2]>(),
        blocks * WARPS * 2 * spans,
        blocks * 2 * spans,
    ]
    .map(|bytes| bytes.next_multiple_of(ALIGN))
}

/// Bytes of workspace of [`text_backward`] for at most `cap` tokens.
pub fn text_backward_workspace(cap: usize, c: usize) -> usize {
    backward_workspace(cap, c, 2)
}

/// Bytes of workspace of [`scale_backward`] for at most `cap` tokens, visible and hidden.
pub fn scale_backward_workspace(cap: usize, c: usize) -> usize {
    backward_workspace(cap, c, 1)
}

fn backward_workspace(cap: usize, c: usize, tables: usize) -> usize {
    let [list, partial, totals] = scratch(cap, c);
    tables * (2 * list + partial) + totals
}

fn backward(gpu: &Gpu, cap: usize, tables: usize, mut args: Backward) -> Result<(), BackendError> {
    let c = args.c as usize;
    let [list, partial, _] = scratch(cap, c);
    let mut at = gpu.workspace;
    for table in &mut args.table[..tables] {
        table.sorted = at.cast();
        table.spare = at.add(list).cast();
        table.partial = at.add(2 * list).cast();
        at = at.add(2 * list + partial);
    }
    args.totals = at.cast();
    let tables = tables as u32;
    let sort = kernel("embed_bwd_sort_u32");
    gpu.launch(&sort, [tables, 1, 1], 1024, 0, &args)?;
    let spans = c.div_ceil(SPAN) as u32;
    let grid = [cap.div_ceil(WARPS * PIECE) as u32, spans, tables];
    let block = 32 * WARPS as u32;
    gpu.launch(&kernel("embed_bwd_sum_bf16"), grid, block, 0, &args)?;
    gpu.launch(&kernel("embed_bwd_join_f32"), grid, block, 0, &args)?;
    let totals = 1 + u32::from(args.dmask.address() != 0);
    let grid = [spans * (SPAN / 32) as u32, totals, 1];
    gpu.launch(&kernel("embed_bwd_total_f32"), grid, 256, 0, &args)
}

/// Buffers of [`text_backward`].
#[derive(Clone, Copy)]
pub struct TextBackward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Text tokens.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// `[rows]`
    pub row: Ptr<u32>,
    /// `[rows]`
    pub id: Ptr<u32>,
    /// `[rows]`
    pub pos: Ptr<u32>,
    /// `[tokens, c]`
    pub dx: Ptr<bf16>,
    /// `[vocab, c]`
    pub dword: Ptr<f32>,
    /// `[max_text, c]`
    pub dposition: Ptr<f32>,
    /// `[2, c]`
    pub dmodality: Ptr<f32>,
}

/// See [`super::reference::text_backward`]; `cap` is the most text tokens, `vocab` and `max_text` the rows of the
/// tables.
pub fn text_backward(
    gpu: &Gpu,
    cap: usize,
    [vocab, max_text]: [usize; 2],
    at: &TextBackward,
) -> Result<(), BackendError> {
    let args = Backward {
        run: at.run,
        part: [at.rows, Rows::fixed(0)],
        c: at.c,
        row: [at.row, Ptr::NULL],
        dx: at.dx,
        dproj: Ptr::NULL,
        table: [
            Table::new([at.id, Ptr::NULL], at.dword, vocab),
            Table::new([at.pos, Ptr::NULL], at.dposition, max_text),
        ],
        totals: Ptr::NULL,
        dmodality: at.dmodality,
        dmask: Ptr::NULL,
    };
    backward(gpu, cap, 2, args)
}

/// Buffers of [`scale_backward`].
#[derive(Clone, Copy)]
pub struct ScaleBackward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Visible tokens.
    pub visible: Rows,
    /// Hidden tokens.
    pub hidden: Rows,
    /// Columns.
    pub c: u32,
    /// `[visible]`
    pub vis_row: Ptr<u32>,
    /// `[visible]`
    pub vis_cell: Ptr<u32>,
    /// `[hidden]`
    pub hid_row: Ptr<u32>,
    /// `[hidden]`
    pub hid_cell: Ptr<u32>,
    /// `[tokens, c]`
    pub dx: Ptr<bf16>,
    /// `[visible, c]`
    pub dproj: Ptr<bf16>,
    /// `[cells, c]`
    pub dposition: Ptr<f32>,
    /// `[c]`
    pub dmask: Ptr<f32>,
    /// `[2, c]`
    pub dmodality: Ptr<f32>,
}

/// See [`super::reference::image_backward`]; `cap` is the most visible and hidden tokens together, `cells` the rows
/// of the table.
pub fn scale_backward(
    gpu: &Gpu,
    cap: usize,
    cells: usize,
    at: &ScaleBackward,
) -> Result<(), BackendError> {
    let table = Table::new([at.vis_cell, at.hid_cell], at.dposition, cells);
    let args = Backward {
        run: at.run,
        part: [at.visible, at.hidden],
        c: at.c,
        row: [at.vis_row, at.hid_row],
        dx: at.dx,
        dproj: at.dproj,
        table: [table; 2],
        totals: Ptr::NULL,
        dmodality: at.dmodality.add(at.c as usize),
        dmask: at.dmask,
    };
    backward(gpu, cap, 1, args)
}
