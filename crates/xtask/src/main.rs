//! The repository's own chores: `cargo xtask <chore>`.
#![forbid(unsafe_code)]

mod fetch_runtime;

use std::io::Write as _;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Fetch the pinned ONNX Runtime library into the user's cache
    FetchRuntime,
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::FetchRuntime => say(&fetch_runtime::run()?.to_string()),
    }
}

/// One line for the person at the terminal.
fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
