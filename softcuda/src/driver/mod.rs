//! The C driver API over the software device.
//!
//! The state of the whole driver lies behind one lock ([`state`]). Work that is asynchronous on a real device waits in its
//! stream ([`stream`]) until something needs it done: the latest moment that the rules allow, so that a missing synchronisation
//! shows. The functions of the C interface ([`exports`]) translate pointers and call the safe functions of the other files.

mod capture;
mod chip;
mod codes;
pub mod config;
mod context;
mod copy;
mod event;
mod exports;
mod findings;
mod graph;
mod handles;
mod inject;
mod kernel;
mod memory;
mod module;
mod occupancy;
pub mod profile;
mod state;
mod stream;
