//! `proofmark ceremony`: keys that many make together.

pub(crate) mod phase1;

use clap::{Args, Subcommand};
use proofmark_verify::Failure;

use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct CeremonyArgs {
    #[command(subcommand)]
    command: CeremonyCommand,
}

#[derive(Debug, Subcommand)]
enum CeremonyCommand {
    /// Powers of tau, which serve any circuit up to a size (snarkjs's .ptau files)
    Phase1(phase1::Phase1Args),
}

pub(crate) fn run(args: &CeremonyArgs, output: Output) -> Result<(), Failure> {
    match &args.command {
        CeremonyCommand::Phase1(args) => phase1::run(args, output),
    }
}
