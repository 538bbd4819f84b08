//! The data plane: data set, order, packing, masks, prefetch.

mod batch;
mod config;

pub use batch::{Batch, Caps, Regime, SampleInfo, ScaleBatch};
pub use config::{Attention, BadRecord, Coupling, DataConfig, MaskConfig};
