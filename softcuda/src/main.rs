//! `softcuda`: runs programs that use CUDA on the software device.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::run(cli::Cli::parse()))
}
