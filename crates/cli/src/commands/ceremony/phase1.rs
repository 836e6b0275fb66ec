//! `proofmark ceremony phase1`: powers of tau.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use proofmark_ceremony::phase1::{self, Contribution, Origin, Ptau};
use proofmark_verify::{Failure, bytes_to_hex as hex};
use serde_json::{Value, json};

use super::circuit::absent;
use crate::failures::OrFail as _;
use crate::output::{Output, grouped, seconds};

#[derive(Debug, Args)]
pub(crate) struct Phase1Args {
    #[command(subcommand)]
    command: Phase1Command,
}

#[derive(Debug, Subcommand)]
enum Phase1Command {
    /// Start powers of tau with a first contribution of this machine
    New {
        /// Binary logarithm of the constraints and inputs of the largest circuit, 1 to 27
        #[arg(long)]
        power: u32,
        /// Where to write the file
        #[arg(long, value_name = "FILE.ptau")]
        out: PathBuf,
        /// Your name, for the record; at most 64 bytes
        #[arg(long, default_value = "")]
        name: String,
        /// Prepare the file for phase 2 at once, which takes much longer later; a further
        /// contribution undoes it
        #[arg(long)]
        prepare: bool,
    },
    /// Contribute to powers of tau: afterwards forging takes you, and all others
    Contribute {
        /// The file to contribute to
        #[arg(value_name = "FILE.ptau")]
        file: PathBuf,
        /// Where to write the file
        #[arg(long, value_name = "FILE.ptau")]
        out: PathBuf,
        /// Your name, for the record; at most 64 bytes
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Prepare powers of tau for phase 2
    Prepare {
        /// The file to prepare
        #[arg(value_name = "FILE.ptau")]
        file: PathBuf,
        /// Where to write the file
        #[arg(long, value_name = "FILE.ptau")]
        out: PathBuf,
    },
    /// Verify powers of tau: all points, all contributions, the preparation
    Verify {
        /// The file
        #[arg(value_name = "FILE.ptau")]
        file: PathBuf,
    },
}

pub(crate) fn run(args: &Phase1Args, output: Output) -> Result<(), Failure> {
    match &args.command {
        Phase1Command::New {
            power,
            out,
            name,
            prepare,
        } => contributed(out, output, |bars| {
            phase1::create(out, *power, name, *prepare, bars).or_fail()
        }),
        Phase1Command::Contribute { file, out, name } => contributed(out, output, |bars| {
            let from = Ptau::open(file).or_fail()?;
            phase1::contribute(&from, out, name, bars).or_fail()
        }),
        Phase1Command::Prepare { file, out } => prepare(file, out, output),
        Phase1Command::Verify { file } => verify(file, output),
    }
}

fn contributed(
    out: &Path,
    output: Output,
    make: impl FnOnce(&crate::output::Bars) -> Result<Contribution, Failure>,
) -> Result<(), Failure> {
    let start = Instant::now();
    absent(out)?;
    let bars = output.bars();
    let contribution = make(&bars)?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let hash = hex(&contribution.response_hash);
    let object = json!({
        "file": out,
        "name": contribution.name,
        "response_hash": hash,
        "seconds": elapsed,
    });
    let text = format!(
        "contributed to {} ({})\n\
         response  {hash}\n\
         The secret was wiped. Publish the response hash under your name: whoever verifies the file \
         compares it.",
        out.display(),
        seconds(elapsed),
    );
    output.result(&object, &text)
}

fn prepare(file: &Path, out: &Path, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    absent(out)?;
    let from = Ptau::open(file).or_fail()?;
    let bars = output.bars();
    phase1::prepare(&from, out, &bars).or_fail()?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let object = json!({ "file": out, "power": from.power(), "seconds": elapsed });
    let text = format!(
        "prepared {} for circuits of up to {} constraints and inputs ({})",
        out.display(),
        grouped(1 << from.power()),
        seconds(elapsed),
    );
    output.result(&object, &text)
}

fn verify(file: &Path, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let bars = output.bars();
    let verified = phase1::verify(file, &bars).or_fail()?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let contributions: Vec<Value> = verified
        .contributions
        .iter()
        .map(|contribution| {
            json!({
                "name": contribution.name,
                "response_hash": hex(&contribution.response_hash),
                "beacon": match &contribution.origin {
                    Origin::Person => Value::Null,
                    Origin::Beacon { iterations_log2, value } =>
                        json!({ "value": hex(value), "iterations_log2": iterations_log2 }),
                },
            })
        })
        .collect();
    let object = json!({
        "valid": true,
        "digest": verified.digest,
        "power": verified.power,
        "ceremony_power": verified.ceremony_power,
        "prepared": verified.prepared,
        "hashes_compared": verified.hashes_compared,
        "contributions": contributions,
        "seconds": elapsed,
    });
    let mut text = format!(
        "valid powers of tau of power {} ({}, {})\ndigest  {}\n",
        verified.power,
        if verified.prepared {
            "prepared"
        } else {
            "not prepared"
        },
        seconds(elapsed),
        verified.digest,
    );
    for (number, contribution) in (1..).zip(&verified.contributions) {
        let kind = match &contribution.origin {
            Origin::Person => "",
            Origin::Beacon { .. } => " (beacon)",
        };
        let name = contribution.name.as_deref().unwrap_or("no name");
        let hash = hex(&contribution.response_hash);
        text.push_str(&format!("{number:>4}  {name}{kind}\n      {hash}\n"));
    }
    if !verified.hashes_compared {
        text.push_str(
            "This is the beginning of a larger file: its points were not compared with the last \
             response.\n",
        );
    }
    text.push_str(
        "Compare the response hashes with those that contributors published: what they contributed \
         to is not in the file.",
    );
    output.result(&object, &text)
}
