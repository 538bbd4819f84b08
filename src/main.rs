//! `cxr-engine`: the command.

use clap::Parser;
use cxr_engine::cli;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.json;
    let (code, text) = match cli::run(cli) {
        Ok(outcome) if json => (outcome.code, format!("{}\n", outcome.json)),
        Ok(outcome) => (outcome.code, outcome.text),
        Err(error) => {
            let code = error.exit_code();
            // Nothing sensible is left to do when stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            let object = serde_json::json!({ "error": error.to_string(), "exit_code": code });
            (
                code,
                if json {
                    format!("{object}\n")
                } else {
                    String::new()
                },
            )
        }
    };
    let mut stdout = std::io::stdout().lock();
    // A reader that has gone away, as with `| head`, is no failure.
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    ExitCode::from(code)
}
