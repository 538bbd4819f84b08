//! The commands of `softcuda`. Each is a file with its `Args` and a function `run` that returns the exit code.
//!
//! To add a command: write `src/cli/<name>.rs`, add a variant to [`Command`] and a line to [`run`].

mod profile;
mod run;

use clap::{Parser, Subcommand};

/// Runs programs that use CUDA where there is no GPU, and checks what they do.
#[derive(Debug, Parser)]
#[command(name = "softcuda", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program on the software device.
    Run(run::Args),
    /// Run a program on the software device and count what its kernels do.
    ///
    /// A table of the kernels goes to stderr. Its times are estimates for a real chip from what was counted, not measurements:
    /// they tell what bounds a kernel, and whether a change made it do less.
    Profile(profile::Args),
}

/// Runs the command.
pub fn run(cli: Cli) -> u8 {
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Profile(args) => profile::run(args),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_sound() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
