//! Launches of `kernels/masked_ce.cu`.

use crate::backend::cuda::gemm::{
    Carve, Cut, Product, Size, Tile, WeightGradient, aligned, product, sum_parts,
};
use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use crate::ops::sums;
use half::bf16;

const FORWARD: Product = product!("masked_ce", "masked_ce_fwd");
const DLOGIT: Product = product!("masked_ce", "masked_ce_bwd_dlogit");
const DWORD: Product = product!("masked_ce", "masked_ce_bwd_dword");
const DH: Product = product!("masked_ce", "masked_ce_bwd_dh");

const fn kernel(name: &'static str) -> Kernel {
    Kernel {
        op: "masked_ce",
        name,
    }
}

/// Rows of a block that joins strips.
const JOINED: usize = 32;

/// Most pieces whose gradients of logits exist at once: with 2048 rows, 16 MB, which stay in the L2 cache.
const CHUNK: usize = 4096;

#[repr(C)]
#[derive(Clone, Copy)]
struct Tiles {
    run: Ptr<DeviceRun>,
    h: Ptr<bf16>,
    word: Ptr<bf16>,
    bias: Ptr<f32>,
    label: Ptr<u32>,
    top: Ptr<f32>,
    sum: Ptr<f32>,
    piece: Ptr<u32>,
    at_label: Ptr<f32>,
    rows: Rows,
    c: u32,
    vocab: u32,
    row_stride: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct JoinRows {
    run: Ptr<DeviceRun>,
    label: Ptr<u32>,
    top: Ptr<f32>,
    sum: Ptr<f32>,
    piece: Ptr<u32>,
    at_label: Ptr<f32>,
    lse: Ptr<f32>,
    part: Ptr<f32>,
    rows: Rows,
    strips: u32,
    row_stride: u32,
}

/// What both passes read; the forward one writes `lse`.
#[derive(Clone, Copy)]
struct Head {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `h`.
    rows: Rows,
    /// Columns of `h`.
    c: u32,
    /// Pieces.
    vocab: u32,
    /// `[rows, c]`
    h: Ptr<bf16>,
    /// `[vocab, c]`
    word: Ptr<bf16>,
    /// `[vocab]`
    bias: Ptr<f32>,
    /// `[rows]`
    label: Ptr<u32>,
    /// `[rows]`
    lse: Ptr<f32>,
}

/// The workspace of [`forward`].
struct Strips {
    top: Ptr<f32>,
    sum: Ptr<f32>,
    piece: Ptr<u32>,
    at_label: Ptr<f32>,
    part: Ptr<f32>,
    row_stride: usize,
    strips: usize,
    bytes: usize,
}

impl Strips {
    fn new(base: Ptr<u8>, tile: Tile, cap: usize, vocab: usize) -> Self {
        let row_stride = cap.next_multiple_of(8);
        let strips = vocab.div_ceil(tile.warp_cols());
        let mut carve = Carve::new(base);
        Self {
            top: carve.take(strips * row_stride),
            sum: carve.take(strips * row_stride),
            piece: carve.take(strips * row_stride),
            at_label: carve.take(cap),
            part: carve.take(3 * cap.div_ceil(JOINED)),
            row_stride,
            strips,
            bytes: carve.used(),
        }
    }
}

/// Bytes of workspace of [`forward`] for at most `cap` rows.
fn forward_workspace(cap: usize, vocab: usize) -> usize {
    Strips::new(Ptr::NULL, Tile::Small, cap, vocab).bytes
}

/// See [`super::reference::forward`]; `cap` is the most rows, `sums` is `[3]`.
fn forward(gpu: &Gpu, cap: usize, head: &Head, sums: Ptr<f32>) -> Result<(), BackendError> {
    let Head {
        run,
        rows,
        c,
        vocab,
        h,
        word,
        bias,
        label,
        lse,
    } = *head;
    let (k, n) = (c as usize, vocab as usize);
    let cut = Cut::whole(
        gpu.multiprocessors,
        Size { m: cap, n, k },
        aligned(h, k) && aligned(word, k),
    );
    let work = Strips::new(gpu.workspace, cut.tile, cap, n);
    let tiles = Tiles {
        run,
        h,
        word,
        bias,
        label,
        top: work.top,
        sum: work.sum,
        piece: work.piece,
        at_label: work.at_label,
        rows,
        c,
        vocab,
        row_stride: work.row_stride as u32,
    };
    FORWARD.launch(gpu, cut, &tiles)?;
    let parts = cap.div_ceil(JOINED) as u32;
    let join = JoinRows {
        run,
        label,
        top: work.top,
        sum: work.sum,
        piece: work.piece,
        at_label: work.at_label,
        lse,
        part: work.part,
        rows,
        strips: work.strips as u32,
        row_stride: work.row_stride as u32,
    };
    gpu.launch(
        &kernel("masked_ce_fwd_rows_f32"),
        [parts, 1, 1],
        512,
        0,
        &join,
    )?;
    sums::finish(gpu, parts as usize, work.part, sums)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dlogit {
    run: Ptr<DeviceRun>,
    h: Ptr<bf16>,
    word: Ptr<bf16>,
    bias: Ptr<f32>,
    label: Ptr<u32>,
    lse: Ptr<f32>,
    scale: Ptr<f32>,
    dlogit: Ptr<bf16>,
    rows: Rows,
    c: u32,
    first: u32,
    pieces: u32,
    stride: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dword {
    run: Ptr<DeviceRun>,
    dlogit: Ptr<bf16>,
    h: Ptr<bf16>,
    out: WeightGradient,
    rows: Rows,
    stride: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dh {
    run: Ptr<DeviceRun>,
    dlogit: Ptr<bf16>,
    word: Ptr<bf16>,
    part: Ptr<f32>,
    rows: Rows,
    c: u32,
    rows_cap: u32,
    pieces: u32,
    stride: u32,
    accumulate: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct DhSum {
    run: Ptr<DeviceRun>,
    part: Ptr<f32>,
    dh: Ptr<bf16>,
    rows: Rows,
    c: u32,
    rows_cap: u32,
    splits: u32,
}

/// What [`backward`] writes, and what it scales it by.
#[derive(Clone, Copy)]
struct Gradients {
    /// `[1]`
    scale: Ptr<f32>,
    /// `[rows, c]`
    dh: Ptr<bf16>,
    /// `[vocab, c]`
    dword: Ptr<f32>,
    /// `[vocab]`
    dbias: Ptr<f32>,
}

/// How [`backward`] is cut, the same for every chunk, and its workspace.
struct Plan {
    /// Pieces of a chunk, a multiple of a large tile unless it is the only one.
    chunk: usize,
    /// Row length of `dlogit`.
    stride: usize,
    logits: Cut,
    dword: Cut,
    dh: Cut,
    dlogit: Ptr<bf16>,
    part: Ptr<f32>,
    partial: Ptr<f32>,
    bytes: usize,
}

impl Plan {
    fn new(
        base: Ptr<u8>,
        multiprocessors: u32,
        [cap, c, vocab]: [usize; 3],
        aligned: bool,
    ) -> Self {
        let even = vocab.div_ceil(vocab.div_ceil(CHUNK));
        let chunk = even.next_multiple_of(Tile::Large.side()).min(vocab);
        let stride = chunk.next_multiple_of(8);
        let size = |m, n, k| Size { m, n, k };
        let dword = Cut::split(multiprocessors, size(chunk, c, cap), aligned);
        let dh = Cut::split(multiprocessors, size(cap, c, chunk), aligned);
        let parts = WeightGradient::parts_len(chunk, c, dword.splits);
        let mut carve = Carve::new(base);
        Self {
            chunk,
            stride,
            logits: Cut::whole(multiprocessors, size(cap, chunk, c), aligned),
            dword,
            dh,
            dlogit: carve.take(cap * stride),
            part: carve.take(dh.splits * (cap * c).next_multiple_of(4)),
            partial: carve.take(parts),
            bytes: carve.used(),
        }
    }
}

/// Bytes of workspace of [`backward`] for at most `cap` rows.
fn backward_workspace(multiprocessors: u32, cap: usize, c: usize, vocab: usize) -> usize {
    let bytes = |aligned| Plan::new(Ptr::NULL, multiprocessors, [cap, c, vocab], aligned).bytes;
    bytes(true).max(bytes(false))
}

/// See [`super::reference::backward`]; `cap` is the most rows.
fn backward(gpu: &Gpu, cap: usize, head: &Head, grads: &Gradients) -> Result<(), BackendError> {
    let Head { run, rows, .. } = *head;
    let (c, vocab) = (head.c as usize, head.vocab as usize);
    let aligned = aligned(head.h, c) && aligned(head.word, c);
    let plan = Plan::new(gpu.workspace, gpu.multiprocessors, [cap, c, vocab], aligned);
    for first in (0..vocab).step_by(plan.chunk) {
        let pieces = plan.chunk.min(vocab - first) as u32;
        let stride = plan.stride as u32;
        let word = head.word.add(first * c);
        let dlogit = Dlogit {
            run,
            h: head.h,
            word,
            bias: head.bias.add(first),
            label: head.label,
            lse: head.lse,
            scale: grads.scale,
            dlogit: plan.dlogit,
            rows,
            c: head.c,
            first: first as u32,
            pieces,
            stride,
        };
        DLOGIT.launch(gpu, plan.logits, &dlogit)?;
        let dword = Dword {
            run,
            dlogit: plan.dlogit,
            h: head.h,
            out: WeightGradient {
                partial: plan.partial,
                dw: grads.dword.add(first * c),
                db: grads.dbias.add(first),
                n: pieces,
                k: head.c,
            },
            rows,
            stride,
        };
        DWORD.launch(gpu, plan.dword, &dword)?;
        let kernel = kernel("masked_ce_bwd_dword_sum_f32");
        sum_parts(gpu, &kernel, dword.out, plan.dword.splits)?;
        let dh = Dh {
            run,
            dlogit: plan.dlogit,
            word,
            part: plan.part,
            rows,
            c: head.c,
            rows_cap: cap as u32,
            pieces,
            stride,
            accumulate: u32::from(first > 0),
        };
        DH.launch(gpu, plan.dh, &dh)?;
    }
    let sum = DhSum {
        run,
        part: plan.part,
        dh: grads.dh,
        rows,
        c: head.c,
        rows_cap: cap as u32,
        splits: plan.dh.splits as u32,
    };
    let grid = [(cap * c).div_ceil(4 * 256) as u32, 1, 1];
    gpu.launch(&kernel("masked_ce_bwd_dh_sum_bf16"), grid, 256, 0, &sum)
}

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(gpu: &Gpu, call: &Call) -> usize {
    match *call {
        Call::MaskedCeForward { rows, vocab, .. } => forward_workspace(rows.cap(), vocab),
        Call::MaskedCeBackward { rows, c, vocab, .. } => {
            backward_workspace(gpu.multiprocessors, rows.cap(), c, vocab)
        }
        _ => unreachable!("{call:?} is no call of masked_ce"),
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::MaskedCeForward {
            rows,
            c,
            vocab,
            h,
            word,
            bias,
            label,
            lse,
            ..
        }
        | Call::MaskedCeBackward {
            rows,
            c,
            vocab,
            h,
            word,
            bias,
            label,
            lse,
            ..
        } => {
            let head = Head {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                vocab: vocab as u32,
                h: m.half(h),
                word: m.half(word),
                bias: m.single(bias),
                label: m.words(label),
                lse: m.single(lse),
            };
            match *call {
                Call::MaskedCeBackward {
                    scale,
                    dh,
                    dword,
                    dbias,
                    ..
                } => {
                    let grads = Gradients {
                        scale: m.single(scale),
                        dh: m.half(dh),
                        dword: m.single(dword),
                        dbias: m.single(dbias),
                    };
                    backward(gpu, rows.cap(), &head, &grads)
                }
                Call::MaskedCeForward { sums, .. } => {
                    forward(gpu, rows.cap(), &head, m.single(sums))
                }
                _ => unreachable!("{call:?} is matched above"),
            }
        }
        _ => unreachable!("{call:?} is no call of masked_ce"),
    }
}
