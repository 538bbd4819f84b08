//! Launches of `kernels/attention.cu`.

use super::Shape;
use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{self, BackendError, Call};
use half::bf16;

/// Threads of a block that multiplies.
const THREADS: u32 = 128;

/// Most blocks of a grid in the direction of the tiles.
const MOST_TILES: usize = 65_535;

/// How the kernels of one head dimension divide the work; mirrors the tilings in `attention.cu`.
struct Tiling {
    forward: &'static str,
    dq: &'static str,
    dkv: &'static str,
    /// Rows that a block owns.
    forward_rows: usize,
    backward_rows: usize,
    /// Rows of the other side that it holds at a time, in each of two buffers; dkv on sm_75 half as many.
    inner: usize,
}

fn tiling(head_dim: usize) -> Result<Tiling, BackendError> {
    match head_dim {
        32 => Ok(Tiling {
            forward: "attention_fwd_d32_bf16",
            dq: "attention_bwd_dq_d32_bf16",
            dkv: "attention_bwd_dkv_d32_bf16",
            forward_rows: 128,
            backward_rows: 128,
            inner: 64,
        }),
        64 => Ok(Tiling {
            forward: "attention_fwd_d64_bf16",
            dq: "attention_bwd_dq_d64_bf16",
            dkv: "attention_bwd_dkv_d64_bf16",
            forward_rows: 128,
            backward_rows: 128,
            inner: 64,
        }),
        128 => Ok(Tiling {
            forward: "attention_fwd_d128_bf16",
            dq: "attention_bwd_dq_d128_bf16",
            dkv: "attention_bwd_dkv_d128_bf16",
            forward_rows: 128,
            backward_rows: 64,
            inner: 32,
        }),
        other => Err(BackendError::Unavailable {
            reason: format!("there are no attention kernels for heads of {other} columns"),
            hint: "choose width and heads such that width / heads is 32, 64 or 128",
        }),
    }
}

fn launch<A: Copy>(
    gpu: &Gpu,
    name: &'static str,
    grid: [usize; 2],
    threads: u32,
    shared_bytes: usize,
    args: &A,
) -> Result<(), BackendError> {
    let kernel = Kernel {
        op: "attention",
        name,
    };
    let grid = [grid[0] as u32, grid[1] as u32, 1];
    gpu.launch(&kernel, grid, threads, shared_bytes as u32, args)
}

/// The rows of a call, and what is read forward and backward.
#[derive(Clone, Copy)]
struct Inputs {
    /// Heads.
    heads: usize,
    /// Columns of a head: 32, 64 or 128.
    head_dim: usize,
    /// Rows of `q`.
    q_rows: backend::Rows,
    /// Rows of `kv`.
    k_rows: backend::Rows,
    /// Segments.
    segments: backend::Rows,
    /// `[q_rows, C]`
    q: Ptr<bf16>,
    /// `[k_rows, 2C]`
    kv: Ptr<bf16>,
    /// `[segments + 1]`
    q_seg: Ptr<u32>,
    /// `[segments + 1]`
    k_seg: Ptr<u32>,
}

/// One list of tiles that a kernel makes.
#[repr(C)]
#[derive(Clone, Copy)]
struct List {
    own: Ptr<u32>,
    other: Ptr<u32>,
    tiles: Ptr<u8>,
    rows: Rows,
    tile_rows: u32,
    gaps: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct TilesArgs {
    run: Ptr<DeviceRun>,
    lists: [List; 2],
    segments: Rows,
}

/// Most tiles of `tile_rows` rows: each segment has at most one that is not full, and so have the rows before and
/// behind all segments.
fn most_tiles(rows: usize, tile_rows: usize, segments: usize) -> usize {
    rows / tile_rows + segments + 2
}

/// Bytes of a list of tiles, a multiple of 256.
fn list_bytes(most_tiles: usize) -> usize {
    (16 * (1 + most_tiles)).next_multiple_of(256)
}

/// Bytes of a list of the most tiles there can be; an error if they are more than a grid has blocks.
fn list_of(rows: usize, tile_rows: usize, segments: usize) -> Result<usize, BackendError> {
    match most_tiles(rows, tile_rows, segments) {
        tiles @ 0..=MOST_TILES => Ok(list_bytes(tiles)),
        tiles => Err(BackendError::Unavailable {
            reason: format!(
                "attention over {rows} tokens in up to {segments} segments takes {tiles} tiles of {tile_rows} rows, but a CUDA kernel has at most {MOST_TILES}"
            ),
            hint: "lower train.batch_tokens, and raise train.accumulate for it",
        }),
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ForwardArgs {
    tiles: Ptr<u8>,
    q: Ptr<bf16>,
    kv: Ptr<bf16>,
    out: Ptr<bf16>,
    lse: Ptr<f32>,
    heads: u32,
    scale2: f32,
}

/// Bytes of workspace of [`forward`] for so many rows of `q` and segments at most.
///
/// # Errors
/// There are no kernels for that head, or more rows than a kernel can be launched for.
fn forward_workspace(
    head_dim: usize,
    q_rows: usize,
    segments: usize,
) -> Result<usize, BackendError> {
    list_of(q_rows, tiling(head_dim)?.forward_rows, segments)
}

/// The factor of the scores, and the same for powers of 2.
fn scales(i: &Inputs) -> [f32; 2] {
    let shape = Shape {
        heads: i.heads,
        head_dim: i.head_dim,
        q_rows: i.q_rows.cap(),
        k_rows: i.k_rows.cap(),
    };
    [
        shape.scale() as f32,
        (shape.scale() * std::f64::consts::LOG2_E) as f32,
    ]
}

/// See [`super::reference::forward`].
fn forward(gpu: &Gpu, i: &Inputs, out: Ptr<bf16>, lse: Ptr<f32>) -> Result<(), BackendError> {
    let t = tiling(i.head_dim)?;
    let tiles = most_tiles(i.q_rows.cap(), t.forward_rows, i.segments.cap());
    let list = List {
        own: i.q_seg,
        other: i.k_seg,
        tiles: gpu.workspace,
        rows: i.q_rows.into(),
        tile_rows: t.forward_rows as u32,
        gaps: 0,
    };
    let args = TilesArgs {
        run: gpu.run,
        lists: [list, list],
        segments: i.segments.into(),
    };
    launch(gpu, "attention_tiles", [1, 1], 256, 0, &args)?;
    let [_, scale2] = scales(i);
    let args = ForwardArgs {
        tiles: gpu.workspace,
        q: i.q,
        kv: i.kv,
        out,
        lse,
        heads: i.heads as u32,
        scale2,
    };
    let shared = (t.forward_rows + 4 * t.inner) * i.head_dim * size_of::<bf16>();
    launch(gpu, t.forward, [i.heads, tiles], THREADS, shared, &args)
}

/// What [`backward`] is given beside [`Inputs`].
#[derive(Clone, Copy)]
struct Backward {
    /// `[q_rows, C]`
    out: Ptr<bf16>,
    /// `[q_rows, heads]`
    lse: Ptr<f32>,
    /// `[q_rows, C]`
    dout: Ptr<bf16>,
    /// `[q_rows, C]`
    dq: Ptr<bf16>,
    /// `[k_rows, 2C]`
    dkv: Ptr<bf16>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct BackwardArgs {
    tiles: Ptr<u8>,
    q: Ptr<bf16>,
    kv: Ptr<bf16>,
    out: Ptr<bf16>,
    lse: Ptr<f32>,
    dout: Ptr<bf16>,
    grad: Ptr<bf16>,
    stats: Ptr<[f32; 2]>,
    q_cap: u32,
    heads: u32,
    scale: f32,
    scale2: f32,
}

/// Bytes of workspace of [`backward`] for so many rows and segments at most.
///
/// # Errors
/// As [`forward_workspace`].
fn backward_workspace(shape: Shape, segments: usize) -> Result<usize, BackendError> {
    let tile_rows = tiling(shape.head_dim)?.backward_rows;
    let list = |rows| list_of(rows, tile_rows, segments);
    let stats = shape.heads * shape.q_rows * size_of::<[f32; 2]>();
    Ok(list(shape.q_rows)? + list(shape.k_rows)? + stats)
}

/// See [`super::reference::backward`].
fn backward(gpu: &Gpu, i: &Inputs, a: &Backward) -> Result<(), BackendError> {
    let t = tiling(i.head_dim)?;
    let most = |rows: backend::Rows| most_tiles(rows.cap(), t.backward_rows, i.segments.cap());
    let (q_tiles, k_tiles) = (most(i.q_rows), most(i.k_rows));
    let q_list = List {
        own: i.q_seg,
        other: i.k_seg,
        tiles: gpu.workspace,
        rows: i.q_rows.into(),
        tile_rows: t.backward_rows as u32,
        gaps: 1,
    };
    let k_list = List {
        own: i.k_seg,
        other: i.q_seg,
        tiles: q_list.tiles.add(list_bytes(q_tiles)),
        rows: i.k_rows.into(),
        ..q_list
    };
    let args = TilesArgs {
        run: gpu.run,
        lists: [q_list, k_list],
        segments: i.segments.into(),
    };
    launch(gpu, "attention_tiles", [2, 1], 256, 0, &args)?;
    let [scale, scale2] = scales(i);
    let dq = BackwardArgs {
        tiles: q_list.tiles,
        q: i.q,
        kv: i.kv,
        out: a.out,
        lse: a.lse,
        dout: a.dout,
        grad: a.dq,
        stats: k_list.tiles.add(list_bytes(k_tiles)).cast(),
        q_cap: i.q_rows.cap() as u32,
        heads: i.heads as u32,
        scale,
        scale2,
    };
    let shared = (2 * t.backward_rows + 4 * t.inner) * i.head_dim * size_of::<bf16>();
    launch(gpu, t.dq, [i.heads, q_tiles], THREADS, shared, &dq)?;
    let dkv = BackwardArgs {
        tiles: k_list.tiles,
        grad: a.dkv,
        ..dq
    };
    // What an image for sm_75 is launched with fits its 64 KiB.
    let inner = if gpu.arch < 80 { t.inner / 2 } else { t.inner };
    let shared = (2 * t.backward_rows + 4 * inner) * i.head_dim * size_of::<bf16>()
        + 2 * inner * size_of::<[f32; 2]>();
    launch(gpu, t.dkv, [i.heads, k_tiles], THREADS, shared, &dkv)
}

/// Bytes of workspace of a call of this operation; an error if its kernels cannot do it.
pub(crate) fn workspace(call: &Call) -> Result<usize, BackendError> {
    Ok(match *call {
        Call::AttentionForward {
            q_rows,
            segments,
            head_dim,
            ..
        } => forward_workspace(head_dim, q_rows.cap(), segments.cap())?,
        Call::AttentionBackward {
            q_rows,
            k_rows,
            segments,
            heads,
            head_dim,
            ..
        } => {
            let shape = Shape {
                heads,
                head_dim,
                q_rows: q_rows.cap(),
                k_rows: k_rows.cap(),
            };
            backward_workspace(shape, segments.cap())?
        }
        _ => unreachable!("{call:?} is no call of attention"),
    })
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::AttentionForward {
            q_rows,
            k_rows,
            segments,
            heads,
            head_dim,
            q,
            kv,
            q_seg,
            k_seg,
            out,
            lse,
        }
        | Call::AttentionBackward {
            q_rows,
            k_rows,
            segments,
            heads,
            head_dim,
            q,
            kv,
            q_seg,
            k_seg,
            out,
            lse,
            ..
        } => {
            let inputs = Inputs {
                heads,
                head_dim,
                q_rows,
                k_rows,
                segments,
                q: m.half(q),
                kv: m.half(kv),
                q_seg: m.words(q_seg),
                k_seg: m.words(k_seg),
            };
            let (out, lse) = (m.half(out), m.single(lse));
            if let Call::AttentionBackward { dout, dq, dkv, .. } = *call {
                let args = Backward {
                    out,
                    lse,
                    dout: m.half(dout),
                    dq: m.half(dq),
                    dkv: m.half(dkv),
                };
                backward(gpu, &inputs, &args)
            } else {
                forward(gpu, &inputs, out, lse)
            }
        }
        _ => unreachable!("{call:?} is no call of attention"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_tiles_than_a_grid_has_are_refused() {
        // 128 rows a tile, one more tile for each of 20 segments, and two.
        let most = (MOST_TILES - 22) * 128 + 127;
        assert!(forward_workspace(64, most, 20).is_ok());
        let error = forward_workspace(64, most + 1, 20).unwrap_err().to_string();
        for part in [
            "8385792 tokens",
            "65536 tiles",
            "65535",
            "train.batch_tokens",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let shape = Shape {
            heads: 6,
            head_dim: 128,
            q_rows: 128,
            k_rows: most / 2 + 1,
        };
        assert!(backward_workspace(shape, 20).is_err());
        assert!(forward_workspace(48, 128, 20).is_err(), "no such head");
    }
}
