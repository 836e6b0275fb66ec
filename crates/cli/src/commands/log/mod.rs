//! `proofmark log`: what a service says later, and whether its log is whole.

mod collect;
mod mirror;
mod notices;
mod place;
mod verify;
mod witness;

use clap::{Args, Subcommand};
use proofmark_verify::Failure;

pub(crate) use collect::{WitnessList, ask_all};
pub(crate) use place::{LogFiles, finish_rotation, open_free, read_only};

use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Tell holders of receipts something; their receipts stay valid
    Advisory(notices::AdvisoryArgs),
    /// Revoke a circuit, key, package or receipt that was found unsound: verifiers with the log
    /// reject what rests on it
    Revoke(notices::RevokeArgs),
    /// Replace the service key; the service must not be running
    Rotate(notices::RotateArgs),
    /// Check a whole log, or a mirror of it
    Verify(verify::VerifyLogArgs),
    /// Copy a log from where it is served, and check that it only ever grows
    Mirror(mirror::MirrorArgs),
    /// Be a witness: cosign logs that never contradict themselves
    Witness(witness::WitnessArgs),
    /// Have witnesses cosign the log; the service must not be running (it asks by itself with
    /// `serve --witness`)
    Collect(collect::CollectArgs),
}

pub(crate) fn run(args: &LogArgs, output: Output) -> Result<(), Failure> {
    match &args.command {
        LogCommand::Advisory(args) => notices::advisory(args, output),
        LogCommand::Revoke(args) => notices::revoke(args, output),
        LogCommand::Rotate(args) => notices::rotate(args, output),
        LogCommand::Verify(args) => verify::run(args, output),
        LogCommand::Mirror(args) => mirror::run(args, output),
        LogCommand::Witness(args) => witness::run(args, output),
        LogCommand::Collect(args) => collect::run(args, output),
    }
}
