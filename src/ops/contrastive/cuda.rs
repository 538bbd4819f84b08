//! Launches of `kernels/contrastive.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};

const BLOCK: u32 = 256;
const TILE: usize = 16;

const fn kernel(name: &'static str) -> Kernel {
    Kernel {
        op: "contrastive",
        name,
    }
}

/// Arguments of [`forward`] and [`backward`]; what only one of them has is null in the other.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Contrastive {
    pub run: Ptr<DeviceRun>,
    pub images: Rows,
    pub texts: Rows,
    pub pairs: Rows,
    pub dim: u32,
    pub caps: [u32; 2],
    /// `[images, dim]`
    pub image: Ptr<f32>,
    /// `[texts, dim]`
    pub text: Ptr<f32>,
    /// `[1]`
    pub log_inv_tau: Ptr<f32>,
    /// By row and by column, `[images, texts]` each; null without soft targets.
    pub soft: [Ptr<f32>; 2],
    /// `[1]`
    pub scale: Ptr<f32>,
    pub work: Work,
    /// `[2]`
    pub sums: Ptr<f32>,
    /// `[images, dim]`
    pub dimage: Ptr<f32>,
    /// `[texts, dim]`
    pub dtext: Ptr<f32>,
    /// `[1]`
    pub dlog_inv_tau: Ptr<f32>,
}

/// What lies in the workspace.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Work {
    unit: Ptr<f32>,
    rnorm: Ptr<f32>,
    logits: Ptr<f32>,
    lse: Ptr<f32>,
    targets: Ptr<f32>,
    loss: Ptr<f32>,
}

impl Work {
    /// Its parts, to be placed at the launch.
    pub(crate) const NONE: Self = Self {
        unit: Ptr::NULL,
        rnorm: Ptr::NULL,
        logits: Ptr::NULL,
        lse: Ptr::NULL,
        targets: Ptr::NULL,
        loss: Ptr::NULL,
    };
}

/// Elements of each part of [`Work`], for at most so many images and texts.
fn parts(caps: [u32; 2], dim: u32) -> [usize; 6] {
    let [images, texts, dim] = [caps[0], caps[1], dim].map(|n| n as usize);
    let both = images + texts;
    [both * dim, both, images * texts, both, both, both]
}

/// Bytes of workspace for at most so many images and texts.
pub(crate) fn workspace(caps: [u32; 2], dim: u32) -> usize {
    parts(caps, dim).iter().sum::<usize>() * size_of::<f32>()
}

/// The first kernels of both passes: unit rows, logits, sums of rows and columns. Returns the placed arguments.
fn logits(gpu: &Gpu, args: &Contrastive) -> Result<Contrastive, BackendError> {
    let mut at = gpu.workspace.cast::<f32>();
    let mut place = parts(args.caps, args.dim).into_iter().map(|len| {
        let here = at;
        at = at.add(len);
        here
    });
    let mut next = || place.next().unwrap_or(Ptr::NULL);
    let work = Work {
        unit: next(),
        rnorm: next(),
        logits: next(),
        lse: next(),
        targets: next(),
        loss: next(),
    };
    let args = Contrastive { work, ..*args };
    let both = [args.caps[0] + args.caps[1], 1, 1];
    let tiles = [args.caps[1], args.caps[0]].map(|n| n.div_ceil(TILE as u32));
    gpu.launch(&kernel("contrastive_unit_f32"), both, BLOCK, 0, &args)?;
    gpu.launch(
        &kernel("contrastive_logits_f32"),
        [tiles[0], tiles[1], 1],
        BLOCK,
        0,
        &args,
    )?;
    gpu.launch(&kernel("contrastive_lse_f32"), both, BLOCK, 0, &args)?;
    Ok(args)
}

/// See [`super::reference::forward`].
pub(crate) fn forward(gpu: &Gpu, args: &Contrastive) -> Result<(), BackendError> {
    let args = logits(gpu, args)?;
    gpu.launch(
        &kernel("contrastive_fwd_sum_f32"),
        [1, 1, 1],
        BLOCK,
        0,
        &args,
    )
}

/// See [`super::reference::backward`].
pub(crate) fn backward(gpu: &Gpu, args: &Contrastive) -> Result<(), BackendError> {
    let args = logits(gpu, args)?;
    let rows = [args.caps[0], 1, 1];
    gpu.launch(&kernel("contrastive_bwd_logits_f32"), rows, BLOCK, 0, &args)?;
    let both = [args.caps[0] + args.caps[1], 1, 1];
    let shared = args.dim * size_of::<f32>() as u32;
    gpu.launch(&kernel("contrastive_bwd_f32"), both, BLOCK, shared, &args)
}
