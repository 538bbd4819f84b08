//! `cxr-data`: data sets into shards, and shards looked at.

use clap::Parser;
use cxr_data::commands::{self, Cli};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    let (code, text) = match commands::run(cli) {
        Ok(outcome) if json => (outcome.code, format!("{}\n", outcome.json)),
        Ok(outcome) => (outcome.code, outcome.text),
        Err(failure) => {
            let code = failure.exit_code();
            // Nothing sensible is left to do when stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            let object = serde_json::json!({ "error": failure.to_string(), "exit_code": code });
            let text = if json {
                format!("{object}\n")
            } else {
                String::new()
            };
            (code, text)
        }
    };
    let mut stdout = std::io::stdout().lock();
    // A reader that has gone away, as with `| head`, is no failure.
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    ExitCode::from(code)
}
