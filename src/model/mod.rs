//! The model: configuration, parameters, and the program recorded on the tape.

mod config;
mod inputs;
mod params;
mod trunk;

pub use config::{ModelConfig, Pool};
pub use inputs::{Inputs, ScaleInputs};
pub use params::{Affine, BlockParams, Init, ParamInfo, Params, ScaleParams};
pub use trunk::{NORM_EPS, Pixels, Sites, norm, patch_grid, trunk};
