//! The repository's own chores: `cargo xtask <chore>`.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod deep;
mod demo;
mod emulation;
mod fetch_runtime;
mod import_samples;
mod licences;
mod policy;
mod release;
mod reproduce;
mod sbom;
mod supply;
mod test;
mod wasm;

use std::io::Write as _;
use std::process::ExitCode;

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
    /// Build everything, prepare the sample models, serve them, show a proven answer
    Demo(demo::Options),
    /// Measure Proofmark beside stock ark-groth16, snarkjs and EZKL
    Bench(bench::Options),
    /// Make the integer models and manifests of models/ again
    ImportSamples,
    /// Run the long versions of the checks and write their dated result
    Deep(deep::Options),
    /// Compare the runtime's integers at hand with those on emulated processors
    Emulation(emulation::Options),
    /// Check licences, sources and bans of all dependencies against deny.toml, offline
    Policy,
    /// Write a bill of materials of each released program
    Sbom(sbom::Options),
    /// Make the archives of a release: programs, bills of materials, licences, digests, wheel
    Release(release::Options),
    /// Build the released programs twice in different folders and compare
    Reproduce(reproduce::Options),
    /// Fetch what the tests need and run them all
    Test,
    /// Build what browsers and Node load to verify receipts
    Wasm(wasm::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::FetchRuntime => fetch_runtime::run().and_then(|outcome| say(&outcome.to_string())),
        Chore::Demo(options) => demo::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::ImportSamples => import_samples::run(),
        Chore::Deep(options) => deep::run(&options),
        Chore::Emulation(options) => emulation::print(&options),
        Chore::Policy => policy::run(),
        Chore::Sbom(options) => sbom::run(&options),
        Chore::Release(options) => release::run(&options),
        Chore::Reproduce(options) => reproduce::run(&options),
        Chore::Test => test::run(),
        Chore::Wasm(options) => wasm::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // With all its causes on one line, and without a backtrace, whatever the environment says.
        Err(error) => match writeln!(std::io::stderr(), "error: {error:#}") {
            Ok(()) | Err(_) => ExitCode::FAILURE,
        },
    }
}

/// One line for the person at the terminal.
fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
