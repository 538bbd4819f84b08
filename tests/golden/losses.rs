//! The losses.

use super::file::{Golden, Outputs};
use cxr_engine::ops::check::{COMPOSED, REDUCTION};
use cxr_engine::ops::masked_patch_loss::{Loss, Target};
use cxr_engine::ops::{bce, contrastive, masked_ce, masked_patch_loss};

macro_rules! masked_ce {
    ($g:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [h, word, bias, scale] = ["h", "word", "bias", "scale"].map(|t| $g.floats::<$f>(t));
        let label = $g.words("label");
        let shape = masked_ce::Shape { rows: label.len(), c: h.len() / label.len(), vocab: bias.len() };
        let mut scratch = vec![0.0; shape.scratch_len()];
        let (mut lse, mut sums) = (vec![9.0; label.len()], [9.0; 3]);
        masked_ce::$path::forward(
            $($pool,)? shape, &h, &word, &bias, &label, &mut scratch, &mut lse, &mut sums,
        );
        let (mut dh, mut dword, mut dbias) = (vec![9.0; h.len()], vec![0.0; word.len()], vec![0.0; bias.len()]);
        masked_ce::$path::backward(
            $($pool,)? shape, &h, &word, &bias, &label, &lse, scale[0], &mut scratch, &mut dh, &mut dword,
            &mut dbias,
        );
        let out: Outputs<$f> = vec![
            ("lse", lse), ("sums", sums.to_vec()), ("dh", dh), ("dword", dword), ("dbias", dbias),
        ];
        out
    }};
}

#[test]
fn masked_ce() {
    let file = Golden::open("masked_ce");
    let g = file.case("all");
    g.check(
        || masked_ce!(g, f64, reference),
        |pool| masked_ce!(g, f32, cpu, pool),
        COMPOSED,
    );
}

macro_rules! masked_patch_loss {
    ($g:expr, $loss:expr, $target:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [pred, scale] = ["pred", "scale"].map(|t| $g.floats::<$f>(t));
        let (images, img, cell) = ($g.bytes("images"), $g.words("img"), $g.words("cell"));
        let shape = masked_patch_loss::Shape {
            side: 18, patch: 6, mean: 0.47, std: 0.22, loss: $loss, target: $target,
        };
        let (mut sums, mut dpred) = ([9.0; 3], vec![9.0; pred.len()]);
        masked_patch_loss::$path::forward($($pool,)? shape, &pred, &images, &img, &cell, &mut sums);
        masked_patch_loss::$path::backward(
            $($pool,)? shape, &pred, &images, &img, &cell, scale[0], &mut dpred,
        );
        let out: Outputs<$f> = vec![("sums", sums.to_vec()), ("dpred", dpred)];
        out
    }};
}

#[test]
fn masked_patch_loss() {
    let file = Golden::open("masked_patch_loss");
    let losses = [
        ("l1", Loss::L1),
        ("l2", Loss::L2),
        ("smooth_l1", Loss::SmoothL1),
    ];
    let targets = [
        ("pixels", Target::Pixels),
        ("patch_norm", Target::PatchNorm),
    ];
    for (loss_name, loss) in losses {
        for (target_name, target) in targets {
            let case = format!("{loss_name}_{target_name}");
            let g = file.case(&case);
            g.check(
                || masked_patch_loss!(g, loss, target, f64, reference),
                |pool| masked_patch_loss!(g, loss, target, f32, cpu, pool),
                REDUCTION,
            );
        }
    }
}

macro_rules! bce {
    ($g:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [z, scale] = ["z", "scale"].map(|t| $g.floats::<$f>(t));
        let target = $g.bytes("target");
        let (mut sums, mut dz) = ([9.0; 3], vec![9.0; z.len()]);
        bce::$path::forward($($pool,)? &z, &target, &mut sums);
        bce::$path::backward($($pool,)? &z, &target, scale[0], &mut dz);
        let out: Outputs<$f> = vec![("sums", sums.to_vec()), ("dz", dz)];
        out
    }};
}

#[test]
fn bce() {
    let file = Golden::open("bce");
    let g = file.case("all");
    g.check(
        || bce!(g, f64, reference),
        |pool| bce!(g, f32, cpu, pool),
        REDUCTION,
    );
}

macro_rules! contrastive {
    ($g:expr, $soft:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [x, y, tau, scale] = ["images", "texts", "tau", "scale"].map(|t| $g.floats::<$f>(t));
        let targets = $soft.then(|| ["rows", "cols"].map(|t| $g.floats::<$f>(t)));
        let soft = targets.as_ref().map(|[rows, cols]| contrastive::Soft { rows, cols });
        let shape = contrastive::Shape { images: 4, texts: 5, dim: 8, pairs: 3 };
        let (mut scratch, mut sums) = (vec![0.0; shape.scratch_len()], [9.0; 2]);
        contrastive::$path::forward($($pool,)? shape, &x, &y, &tau, soft, &mut scratch, &mut sums);
        let (mut dx, mut dy, mut dtau) = (vec![9.0; x.len()], vec![9.0; y.len()], vec![0.0]);
        contrastive::$path::backward(
            $($pool,)? shape, &x, &y, &tau, soft, scale[0], &mut scratch, &mut dx, &mut dy, &mut dtau,
        );
        let out: Outputs<$f> = vec![("sums", sums.to_vec()), ("dimages", dx), ("dtexts", dy), ("dtau", dtau)];
        out
    }};
}

#[test]
fn contrastive() {
    let file = Golden::open("contrastive");
    for (case, soft) in [("pairs", false), ("soft", true)] {
        let g = file.case(case);
        g.check(
            || contrastive!(g, soft, f64, reference),
            |pool| contrastive!(g, soft, f32, cpu, pool),
            COMPOSED,
        );
    }
}
