//! Launches of `kernels/masked_patch_loss.cu`.

use super::{Loss, Shape, Target};
use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use crate::ops::patch_gather::affine;
use crate::ops::sums;
use half::bf16;

/// Most threads of a block.
const THREADS: usize = 128;

/// Most patches that a group of threads takes at a time.
const MOST_RUN: usize = 4;

/// Threads a multiprocessor that keep its memory busy.
const BUSY: usize = 128;

/// Threads a multiprocessor that forward sums with.
const RESIDENT: usize = 1024;

/// Buffers of both directions.
#[derive(Clone, Copy)]
struct Inputs {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `pred`.
    rows: Rows,
    /// `[rows, patch * patch]`
    pred: Ptr<bf16>,
    /// `[N, side, side]`
    images: Ptr<u8>,
    /// `[rows]`
    img: Ptr<u32>,
    /// `[rows]`
    cell: Ptr<u32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Args {
    run: Ptr<DeviceRun>,
    rows: Rows,
    side: u32,
    patch: u32,
    centre: f32,
    factor: f32,
    loss: u32,
    norm: u32,
    group: u32,
    groups: u32,
    run_length: u32,
    pred: Ptr<bf16>,
    images: Ptr<u8>,
    img: Ptr<u32>,
    cell: Ptr<u32>,
    partial: Ptr<f32>,
    scale: Ptr<f32>,
    dpred: Ptr<bf16>,
}

fn args(shape: Shape, at: &Inputs) -> Args {
    let (centre, factor) = affine(shape.mean, shape.std);
    Args {
        run: at.run,
        rows: at.rows,
        side: shape.side as u32,
        patch: shape.patch as u32,
        centre,
        factor,
        loss: match shape.loss {
            Loss::L1 => 0,
            Loss::L2 => 1,
            Loss::SmoothL1 => 2,
        },
        norm: u32::from(shape.target == Target::PatchNorm),
        group: 0,
        groups: 0,
        run_length: 0,
        pred: at.pred,
        images: at.images,
        img: at.img,
        cell: at.cell,
        partial: Ptr::NULL,
        scale: Ptr::NULL,
        dpred: Ptr::NULL,
    }
}

/// Whether 8 pixels are taken at once.
fn eights(shape: Shape) -> bool {
    shape.side.is_multiple_of(8) && shape.patch.is_multiple_of(8)
}

/// How patches are shared out.
struct Layout {
    /// Threads that take a patch together.
    group: usize,
    /// So many of these have patches.
    groups: usize,
    /// Neighbouring patches that a group takes at a time.
    run: usize,
    /// Threads of a block.
    block: usize,
}

fn layout(multiprocessors: u32, cap: usize, shape: Shape) -> Layout {
    let pieces = shape.pixels() / if eights(shape) { 8 } else { 1 };
    let group = pieces.next_power_of_two().clamp(32, THREADS);
    // Longer runs save lookups and partial sums, where enough groups are left to hide the memory's latency.
    let busy = BUSY / group * multiprocessors as usize;
    let run = (cap / busy).clamp(1, MOST_RUN);
    Layout {
        group,
        groups: cap
            .div_ceil(run)
            .clamp(1, RESIDENT / group * multiprocessors as usize),
        run,
        // Groups of one warp need no barrier and share a block: its lookups, and the sectors of its sums.
        block: if group == 32 { THREADS } else { group },
    }
}

fn launch(
    gpu: &Gpu,
    cap: usize,
    shape: Shape,
    [eight, single]: [&'static str; 2],
    args: &Args,
) -> Result<(), BackendError> {
    let at = layout(gpu.multiprocessors, cap, shape);
    let args = Args {
        group: at.group as u32,
        groups: at.groups as u32,
        run_length: at.run as u32,
        ..*args
    };
    let kernel = Kernel {
        op: "masked_patch_loss",
        name: if eights(shape) { eight } else { single },
    };
    let blocks = at.groups.div_ceil(at.block / at.group);
    gpu.launch(&kernel, [blocks as u32, 1, 1], at.block as u32, 0, &args)
}

/// Bytes of workspace for at most `cap` rows.
fn forward_workspace(multiprocessors: u32, cap: usize, shape: Shape) -> usize {
    sums::partial_bytes(layout(multiprocessors, cap, shape).groups)
}

/// See [`super::reference::forward`]; `cap` is the most rows.
fn forward(
    gpu: &Gpu,
    cap: usize,
    shape: Shape,
    at: &Inputs,
    sums: Ptr<f32>,
) -> Result<(), BackendError> {
    let args = Args {
        partial: gpu.workspace.cast(),
        ..args(shape, at)
    };
    let names = [
        "masked_patch_loss_fwd_bf16",
        "masked_patch_loss_fwd_single_bf16",
    ];
    launch(gpu, cap, shape, names, &args)?;
    let groups = layout(gpu.multiprocessors, cap, shape).groups;
    sums::finish(gpu, groups, args.partial, sums)
}

/// See [`super::reference::backward`]; `cap` is the most rows.
fn backward(
    gpu: &Gpu,
    cap: usize,
    shape: Shape,
    at: &Inputs,
    scale: Ptr<f32>,
    dpred: Ptr<bf16>,
) -> Result<(), BackendError> {
    let args = Args {
        scale,
        dpred,
        ..args(shape, at)
    };
    let names = [
        "masked_patch_loss_bwd_bf16",
        "masked_patch_loss_bwd_single_bf16",
    ];
    launch(gpu, cap, shape, names, &args)
}

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(gpu: &Gpu, call: &Call) -> usize {
    match *call {
        Call::MaskedPatchForward { rows, shape, .. } => {
            forward_workspace(gpu.multiprocessors, rows.cap(), shape)
        }
        _ => 0,
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::MaskedPatchForward {
            rows,
            shape,
            pred,
            images,
            image_count: _,
            img,
            cell,
            sums,
        } => {
            let at = Inputs {
                run: gpu.run,
                rows: rows.into(),
                pred: m.half(pred),
                images: m.bytes(images),
                img: m.words(img),
                cell: m.words(cell),
            };
            let sums = m.single(sums);
            forward(gpu, rows.cap(), shape, &at, sums)
        }
        Call::MaskedPatchBackward {
            rows,
            shape,
            pred,
            images,
            image_count: _,
            img,
            cell,
            scale,
            dpred,
        } => {
            let at = Inputs {
                run: gpu.run,
                rows: rows.into(),
                pred: m.half(pred),
                images: m.bytes(images),
                img: m.words(img),
                cell: m.words(cell),
            };
            let (scale, dpred) = (m.single(scale), m.half(dpred));
            backward(gpu, rows.cap(), shape, &at, scale, dpred)
        }
        _ => unreachable!("{call:?} is no call of masked_patch_loss"),
    }
}
