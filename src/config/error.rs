//! What can be wrong with a configuration.

use std::path::PathBuf;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file and the line in it.
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// `--set key=value`.
    Set,
    /// A flag of its own, such as `--steps`.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Set => f.write_str("--set"),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// A configuration that cannot be used. All of them end the process with exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// An argument of `--set` is not `key=value`.
    #[error("--set {text}: expected KEY=VALUE\nhint: for example --set optim.lr=3e-4")]
    Assignment {
        /// The argument.
        text: String,
    },
    /// No such key.
    #[error("{origin}: unknown key `{key}`\nhint: {}", nearest_hint(nearest))]
    UnknownKey {
        /// The key as given.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// The known key most like it.
        nearest: Option<String>,
    },
    /// A table was given where a value belongs, or the other way round, or a value of another type.
    #[error("{origin}: `{key}` = {found}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// The value given.
        found: String,
        /// What was expected.
        reason: String,
    },
    /// A value outside its range, or values that do not go together. The message names the keys.
    #[error("{reason}{}", match origin { Some(o) => format!("\nhint: it was set by {o}"), None => String::new() })]
    Rule {
        /// What is wrong, with keys and values.
        reason: String,
        /// Where the named key was given, unless it has its default.
        origin: Option<Origin>,
    },
    /// A key without a useful default was not given.
    #[error(
        "`{key}` is not set: {what}\nhint: set it in the configuration file or with --set {key}=..."
    )]
    Missing {
        /// The key.
        key: &'static str,
        /// What it is for.
        what: &'static str,
    },
}

fn nearest_hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("did you mean `{key}`?"),
        None => "`cxr-engine train --print-config` lists every key".into(),
    }
}
