//! `proofmark-bench`: Proofmark, stock ark-groth16, snarkjs and EZKL side by side on the same ONNX
//! files. `cargo xtask bench` builds and starts it; `benchmarks/README.md` says how it measures.
#![forbid(unsafe_code)]

mod builder;
mod catalogue;
mod machine;
mod networks;
mod plot;
mod process;
mod report;
mod results;
mod run;
mod scaling;
mod steps;
mod systems;
mod tools;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "proofmark-bench",
    about = "Side-by-side measurements; run in the repository's root"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure models and write a CSV file, pictures and a table
    Run(Box<run::Options>),
    /// Do one step of a measurement in this process and print what it tells
    #[command(subcommand)]
    Step(steps::Step),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Step(step) => steps::run(&step).and_then(|told| say(&told.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // With all its causes on one line: it becomes the reason in a row of results.
        Err(error) => match writeln!(std::io::stderr(), "error: {error:#}") {
            Ok(()) | Err(_) => ExitCode::FAILURE,
        },
    }
}

/// One line for whoever reads the output.
fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
