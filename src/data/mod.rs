//! The data plane: data set, order, packing, masks, prefetch.
//!
//! ```text
//! Corpus   which samples an epoch holds, in which order, of which regime
//! Planner  packs them into batches by their metadata alone
//! Builder  copies records into a batch, draws its masks, fills its index lists
//! Loader   threads that build batches ahead and hand them over in order
//! ```
//!
//! Every choice is a pure function of (seed, epoch, sample), so the batches are the same for any
//! number of workers and after a resume.

mod batch;
mod build;
mod caps;
mod config;
mod corpus;
mod error;
mod exclude;
mod loader;
mod masks;
mod options;
mod order;
mod plan;
mod recipe;
mod ring;
mod worker;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Regime, SampleInfo, ScaleBatch};
pub use build::{BadNote, Builder};
pub use caps::Caps;
pub use config::{Attention, BadRecord, Coupling, DataConfig, MaskConfig};
pub use corpus::{Corpus, Entry, EpochOrder, Records, check_patients};
pub use error::DataError;
pub use exclude::Exclusion;
pub use loader::{Loader, Slot, check_fit, slots};
pub use masks::{ImageMasker, TextSpec, is_hidden, mask_text, masked_pieces};
pub use options::{Cursor, LoaderOptions, LoaderReport};
pub use order::Permutation;
pub use plan::Planner;
pub use recipe::{Matching, Plan, Planned, Recipe};
