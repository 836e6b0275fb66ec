//! `proofmark`: the whole way from a float model to a verified answer.
#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod failures;
mod inputs;
mod output;
mod samples;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use proofmark_verify::{Exit, Failure};

use crate::arguments::{Cli, Command};
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. Nothing can be done about a closed stream.
            drop(error.print());
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Success.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    match run(&cli) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => failure.finish(cli.json),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let output = Output { json: cli.json };
    match &cli.command {
        Command::Import(args) => commands::import::run(args, output),
        Command::Inspect(args) => commands::inspect::run(args, output),
        Command::Setup(args) => commands::setup::run(args, output),
        Command::Ceremony(args) => commands::ceremony::run(args, output),
        Command::Pull(args) => commands::pull::run(args, output),
        Command::Prove(args) => commands::prove::run(args, output),
        Command::Verify(args) => commands::verify::run(args, output),
        Command::Log(args) => commands::log::run(args, output),
        Command::Attest(args) => commands::attest::run(args, output),
        Command::Audit(args) => commands::audit::run(args, output),
        Command::Receipt(args) => commands::receipt::run(args, output),
        Command::Evm(args) => commands::evm::run(args, output),
        Command::Relay(args) => commands::relay::run(args, output),
        Command::Serve(args) => commands::serve::run(args, output),
        Command::Proxy(args) => commands::proxy::run(args, output),
        Command::Infer(args) => commands::infer::run(args, output),
        Command::Doctor(args) => commands::doctor::run(args, output),
        Command::Bench(args) => commands::bench::run(args, output),
    }
}
