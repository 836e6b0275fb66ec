//! `proofmark ceremony beacon`: the last contribution, from public randomness.

use clap::Args;
use proofmark_ceremony::phase2::{Factors, Texts, beacon};
use proofmark_prover::ceremony::{BeaconRecord, HexBytes};
use proofmark_verify::Failure;

use super::contribute::{PlaceArgs, add};
use super::hex;
use crate::failures::OrFail as _;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct BeaconArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Public randomness that nobody could foresee, such as a block's hash that you named in advance:
    /// hex digits, at most 255 bytes
    #[arg(long, value_name = "HEX", value_parser = bytes)]
    value: HexBytes,
    /// SHA-256 is applied 2^N times, 10 to 32: so often that nobody can try values until one suits
    #[arg(long, value_name = "N", default_value_t = 20)]
    iterations: u32,
    /// Where the randomness comes from, for the record
    #[arg(long, default_value = "beacon")]
    name: String,
}

fn bytes(text: &str) -> Result<HexBytes, String> {
    hex(text)
        .map(HexBytes)
        .ok_or_else(|| "it must be pairs of hex digits".to_owned())
}

pub(crate) fn run(args: &BeaconArgs, output: Output) -> Result<(), Failure> {
    let value = BeaconRecord {
        value: args.value.clone(),
        iterations_log2: args.iterations,
    };
    beacon::check(&value).or_fail()?;
    let texts = Texts {
        name: args.name.clone(),
        statement: String::new(),
        beacon: Some(value.clone()),
    };
    add(
        &args.place,
        texts,
        "Nothing can be contributed behind a beacon.",
        output,
        |committed, progress| Factors::from_beacon(&value, committed, progress).or_fail(),
    )
}
