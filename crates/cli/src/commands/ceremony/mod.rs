//! `proofmark ceremony`: keys that many make together.

mod beacon;
mod circuit;
mod contribute;
mod finalize;
mod new;
pub(crate) mod phase1;
mod verify;

use clap::{Args, Subcommand};
use proofmark_prover::ceremony::HexBytes;
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
    /// Begin phase 2 for the circuit of a draft
    New(new::NewArgs),
    /// Contribute to phase 2: this program and the file before yours are all it takes
    Contribute(contribute::ContributeArgs),
    /// End phase 2 with public randomness
    Beacon(beacon::BeaconArgs),
    /// Verify contributions, or a sealed package's key, against circuit and powers of tau
    Verify(verify::VerifyArgs),
    /// Verify contributions and seal the draft with the key that they made
    Finalize(finalize::FinalizeArgs),
}

/// Bytes from pairs of hex digits, in upper or lower case, with or without 0x.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    HexBytes::from_hex(&digits.to_ascii_lowercase()).map(|HexBytes(bytes)| bytes)
}

/// The hash of a contribution, as `ceremony contribute` prints it.
pub(crate) fn hash(text: &str) -> Result<Vec<u8>, String> {
    let refuse = || "a contribution's hash has 128 hex digits".to_owned();
    hex(text)
        .filter(|bytes| bytes.len() == 64)
        .ok_or_else(refuse)
}

pub(crate) fn run(args: &CeremonyArgs, output: Output) -> Result<(), Failure> {
    match &args.command {
        CeremonyCommand::Phase1(args) => phase1::run(args, output),
        CeremonyCommand::New(args) => new::run(args, output),
        CeremonyCommand::Contribute(args) => contribute::run(args, output),
        CeremonyCommand::Beacon(args) => beacon::run(args, output),
        CeremonyCommand::Verify(args) => verify::run(args, output),
        CeremonyCommand::Finalize(args) => finalize::run(args, output),
    }
}
