//! A static tape: model code records coarse fused operations once, the planner places every buffer
//! in one arena, and each step replays two flat lists of calls.
//!
//! ```text
//! record    tape.linear(..), tape.attention(..), ...      nodes over virtual buffers
//! emit      forward calls in order; backward calls of the nodes in reverse order
//! plan      lifetime of each virtual buffer = first to last call that names it -> offsets in one arena
//! replay    for call in forward { device.run(call) }   for call in backward { device.run(call) }
//! ```
//!
//! What a backward pass needs is not declared anywhere: it is what its calls name, so it cannot be
//! forgotten. The first call that writes a gradient overwrites, later ones add; the order is the
//! list's order, hence the same on every run. What is given up: control flow that depends on data,
//! and second-order gradients; an image-text transformer needs neither.

mod backward;
mod lists;
mod plan;
mod tape;

pub use lists::{ImageView, Linear, ScaleLists, ScaleTables, Segments, TextLists, TextTables};
pub use plan::{Plan, PlanError, Usage};
pub use tape::{Param, Tape, Tensor};
