//! Launches of `kernels/embed.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
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
struct TextForward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Text tokens.
    rows: Rows,
    /// Columns.
    c: u32,
    /// `[rows]`
    row: Ptr<u32>,
    /// `[rows]`
    id: Ptr<u32>,
    /// `[rows]`
    pos: Ptr<u32>,
    /// `[vocab, c]`
    word: Ptr<bf16>,
    /// `[max_text, c]`
    position: Ptr<bf16>,
    /// `[2, c]`
    modality: Ptr<bf16>,
    /// `[tokens, c]`
    x: Ptr<bf16>,
}

fn forward_grid(cap: usize, c: u32) -> [u32; 3] {
    [
        cap.div_ceil(WARPS * TOKENS) as u32,
        c.div_ceil(SPAN as u32),
        1,
    ]
}

/// See [`super::reference::text_forward`]; `cap` is the most text tokens.
fn text_forward(gpu: &Gpu, cap: usize, args: &TextForward) -> Result<(), BackendError> {
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
struct ScaleForward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Visible tokens.
    visible: Rows,
    /// Hidden tokens.
    hidden: Rows,
    /// Columns.
    c: u32,
    /// `[visible]`
    vis_row: Ptr<u32>,
    /// `[visible]`
    vis_cell: Ptr<u32>,
    /// `[hidden]`
    hid_row: Ptr<u32>,
    /// `[hidden]`
    hid_cell: Ptr<u32>,
    /// `[visible, c]`
    proj: Ptr<bf16>,
    /// `[cells, c]`
    position: Ptr<bf16>,
    /// `[c]`
    mask: Ptr<bf16>,
    /// `[2, c]`
    modality: Ptr<bf16>,
    /// `[tokens, c]`
    x: Ptr<bf16>,
}

/// See [`super::reference::image_forward`]; `cap` is the most visible and hidden tokens together.
fn scale_forward(gpu: &Gpu, cap: usize, args: &ScaleForward) -> Result<(), BackendError> {
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

/// Arguments of [`backward`]; what lies in the workspace is not placed yet.
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

fn backward_workspace(cap: usize, c: usize, tables: usize) -> usize {
    let [list, partial, totals] = scratch(cap, c);
    tables * (2 * list + partial) + totals
}

/// See [`super::reference::text_backward`] (two tables) and [`super::reference::image_backward`] (one); `cap` is the most
/// tokens.
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

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(call: &Call) -> usize {
    match *call {
        Call::EmbedTextBackward { rows, c, .. } => backward_workspace(rows.cap(), c, 2),
        Call::EmbedScaleBackward {
            visible, hidden, c, ..
        } => backward_workspace(visible.cap() + hidden.cap(), c, 1),
        _ => 0,
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::EmbedTextForward {
            rows,
            tokens: _,
            c,
            row,
            id,
            pos,
            word,
            position,
            modality,
            x,
        } => {
            let args = TextForward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                row: m.words(row),
                id: m.words(id),
                pos: m.words(pos),
                word: m.half(word),
                position: m.half(position),
                modality: m.half(modality),
                x: m.half(x),
            };
            text_forward(gpu, rows.cap(), &args)
        }
        Call::EmbedTextBackward {
            rows,
            tokens: _,
            c,
            row,
            id,
            pos,
            dx,
            dword,
            dposition,
            dmodality,
        } => {
            let word = Table::new([m.words(id), Ptr::NULL], m.single(dword), dword.len / c);
            let position = m.single(dposition);
            let args = Backward {
                run: gpu.run,
                part: [rows.into(), Rows::fixed(0)],
                c: c as u32,
                row: [m.words(row), Ptr::NULL],
                dx: m.half(dx),
                dproj: Ptr::NULL,
                table: [
                    word,
                    Table::new([m.words(pos), Ptr::NULL], position, dposition.len / c),
                ],
                totals: Ptr::NULL,
                dmodality: m.single(dmodality),
                dmask: Ptr::NULL,
            };
            backward(gpu, rows.cap(), 2, args)
        }
        Call::EmbedScaleForward {
            visible,
            hidden,
            tokens: _,
            c,
            vis_row,
            vis_cell,
            hid_row,
            hid_cell,
            proj,
            position,
            mask,
            modality,
            x,
        } => {
            let args = ScaleForward {
                run: gpu.run,
                visible: visible.into(),
                hidden: hidden.into(),
                c: c as u32,
                vis_row: m.words(vis_row),
                vis_cell: m.words(vis_cell),
                hid_row: m.words(hid_row),
                hid_cell: m.words(hid_cell),
                proj: m.half(proj),
                position: m.half(position),
                mask: m.half(mask),
                modality: m.half(modality),
                x: m.half(x),
            };
            scale_forward(gpu, visible.cap() + hidden.cap(), &args)
        }
        Call::EmbedScaleBackward {
            visible,
            hidden,
            tokens: _,
            c,
            vis_row,
            vis_cell,
            hid_row,
            hid_cell,
            dx,
            dproj,
            dposition,
            dmask,
            dmodality,
        } => {
            let cells = [m.words(vis_cell), m.words(hid_cell)];
            let table = Table::new(cells, m.single(dposition), dposition.len / c);
            let args = Backward {
                run: gpu.run,
                part: [visible.into(), hidden.into()],
                c: c as u32,
                row: [m.words(vis_row), m.words(hid_row)],
                dx: m.half(dx),
                dproj: m.half(dproj),
                table: [table; 2],
                totals: Ptr::NULL,
                // The second row is that of images.
                dmodality: m.single(dmodality).add(c),
                dmask: m.single(dmask),
            };
            backward(gpu, visible.cap() + hidden.cap(), 1, args)
        }
        _ => unreachable!("{call:?} is no call of embed"),
    }
}
