//! A training engine for image-text transformers on chest X-rays and radiology reports.
//!
//! Layers, each knowing only those before it: `rng`, `fsio`, `text`, `shard` < `backend` < `ops` <
//! `autograd` < `model`, `data`, `objective` < `optim`, `train`, `apps` < `report` < `cli`.

pub mod apps;
pub mod autograd;
pub mod backend;
pub mod cli;
pub mod config;
pub mod data;
pub mod demo;
pub mod error;
pub mod fsio;
pub mod model;
pub mod objective;
pub mod ops;
pub mod optim;
pub mod report;
pub mod rng;
pub mod selfcheck;
pub mod shard;
pub mod synth;
pub mod text;
pub mod train;
