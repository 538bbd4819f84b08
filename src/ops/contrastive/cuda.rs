//! Launches of `kernels/contrastive.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{self, BackendError, Call, Floats};

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
struct Contrastive {
    run: Ptr<DeviceRun>,
    images: Rows,
    texts: Rows,
    pairs: Rows,
    dim: u32,
    caps: [u32; 2],
    /// `[images, dim]`
    image: Ptr<f32>,
    /// `[texts, dim]`
    text: Ptr<f32>,
    /// `[1]`
    log_inv_tau: Ptr<f32>,
    /// By row and by column, `[images, texts]` each; null without soft targets.
    soft: [Ptr<f32>; 2],
    /// `[1]`
    scale: Ptr<f32>,
    work: Work,
    /// `[2]`
    sums: Ptr<f32>,
    /// `[images, dim]`
    dimage: Ptr<f32>,
    /// `[texts, dim]`
    dtext: Ptr<f32>,
    /// `[1]`
    dlog_inv_tau: Ptr<f32>,
}

/// What lies in the workspace.
#[repr(C)]
#[derive(Clone, Copy)]
struct Work {
    unit: Ptr<f32>,
    rnorm: Ptr<f32>,
    logits: Ptr<f32>,
    lse: Ptr<f32>,
    targets: Ptr<f32>,
    loss: Ptr<f32>,
}

impl Work {
    /// Its parts, to be placed at the launch.
    const NONE: Self = Self {
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

/// Bytes of workspace of [`forward`] for at most so many images and texts.
fn forward_workspace(caps: [u32; 2], dim: u32) -> usize {
    parts(caps, dim).iter().sum::<usize>() * size_of::<f32>()
}

/// As [`forward_workspace`] of [`backward`].
///
/// # Errors
/// The device has too little shared memory for a row.
fn backward_workspace(gpu: &Gpu, caps: [u32; 2], dim: u32) -> Result<usize, BackendError> {
    fits(dim, gpu.shared_most())?;
    Ok(forward_workspace(caps, dim))
}

/// Whether `contrastive_bwd_f32` can hold the gradient of a row, beside what it sums with.
fn fits(dim: u32, shared_most: u32) -> Result<(), BackendError> {
    let (needed, sums) = (row_bytes(dim), 32 * size_of::<f32>() as u32);
    match needed + sums <= shared_most {
        true => Ok(()),
        false => Err(BackendError::Unavailable {
            reason: format!(
                "contrast at width {dim} needs {} bytes of shared memory a block, but this CUDA device has {shared_most}",
                needed + sums
            ),
            hint: "choose a smaller model.width, set loss.itc = 0, or use a device of capability 8.0 or newer",
        }),
    }
}

fn row_bytes(dim: u32) -> u32 {
    dim * size_of::<f32>() as u32
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
fn forward(gpu: &Gpu, args: &Contrastive) -> Result<(), BackendError> {
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
fn backward(gpu: &Gpu, args: &Contrastive) -> Result<(), BackendError> {
    let args = logits(gpu, args)?;
    let rows = [args.caps[0], 1, 1];
    gpu.launch(&kernel("contrastive_bwd_logits_f32"), rows, BLOCK, 0, &args)?;
    let both = [args.caps[0] + args.caps[1], 1, 1];
    let shared = row_bytes(args.dim);
    gpu.launch(&kernel("contrastive_bwd_f32"), both, BLOCK, shared, &args)
}

/// What both passes are given.
fn arguments(
    cuda: &Cuda,
    [images, texts, pairs]: [backend::Rows; 3],
    c: usize,
    [image, text, log_inv_tau]: [Floats; 3],
    soft: Option<[Floats; 2]>,
) -> Contrastive {
    let m = &cuda.memory;
    Contrastive {
        run: cuda.gpu.run,
        images: images.into(),
        texts: texts.into(),
        pairs: pairs.into(),
        dim: c as u32,
        caps: [images.cap() as u32, texts.cap() as u32],
        image: m.single(image),
        text: m.single(text),
        log_inv_tau: m.single(log_inv_tau),
        soft: soft.map_or([Ptr::NULL; 2], |s| s.map(|s| m.single(s))),
        scale: Ptr::NULL,
        work: Work::NONE,
        sums: Ptr::NULL,
        dimage: Ptr::NULL,
        dtext: Ptr::NULL,
        dlog_inv_tau: Ptr::NULL,
    }
}

/// Bytes of workspace of a call of this operation; an error if its kernels cannot do it.
pub(crate) fn workspace(gpu: &Gpu, call: &Call) -> Result<usize, BackendError> {
    Ok(match *call {
        Call::ContrastiveForward {
            images, texts, c, ..
        } => {
            let caps = [images.cap() as u32, texts.cap() as u32];
            forward_workspace(caps, c as u32)
        }
        Call::ContrastiveBackward {
            images, texts, c, ..
        } => {
            let caps = [images.cap() as u32, texts.cap() as u32];
            backward_workspace(gpu, caps, c as u32)?
        }
        _ => unreachable!("{call:?} is no call of contrastive"),
    })
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::ContrastiveForward {
            images,
            texts,
            pairs,
            c,
            image,
            text,
            log_inv_tau,
            soft,
            sums,
            ..
        } => {
            let args = Contrastive {
                sums: m.single(sums),
                ..arguments(
                    cuda,
                    [images, texts, pairs],
                    c,
                    [image, text, log_inv_tau],
                    soft,
                )
            };
            forward(gpu, &args)
        }
        Call::ContrastiveBackward {
            images,
            texts,
            pairs,
            c,
            image,
            text,
            log_inv_tau,
            soft,
            scale,
            dimage,
            dtext,
            dlog_inv_tau,
            ..
        } => {
            let args = Contrastive {
                scale: m.single(scale),
                dimage: m.single(dimage),
                dtext: m.single(dtext),
                dlog_inv_tau: m.single(dlog_inv_tau),
                ..arguments(
                    cuda,
                    [images, texts, pairs],
                    c,
                    [image, text, log_inv_tau],
                    soft,
                )
            };
            backward(gpu, &args)
        }
        _ => unreachable!("{call:?} is no call of contrastive"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_fit_shared_memory_is_refused() {
        assert!(fits(16_352, 64 << 10).is_ok());
        let error = fits(16_384, 64 << 10).unwrap_err().to_string();
        for part in ["16384", "65664 bytes", "65536", "model.width"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(fits(16_384, 96 << 10).is_ok());
    }
}
