//! Every op, forward and backward, against what PyTorch computes (`tests/golden/make_golden.py`): the
//! reference in f64 and the fast path in f32.

#[path = "golden/file.rs"]
mod file;
#[path = "golden/heads.rs"]
mod heads;
#[path = "golden/losses.rs"]
mod losses;
#[path = "golden/trunk.rs"]
mod trunk;
#[path = "golden/update.rs"]
mod update;
