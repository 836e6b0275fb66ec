//! `proofmark ceremony new`: what the first contributor contributes to.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use proofmark_ceremony::phase2::{file, folder};
use proofmark_verify::Failure;
use serde_json::json;

use super::circuit::{PowersArgs, initial};
use crate::arguments::BackendArg;
use crate::failures::OrFail as _;
use crate::output::{Output, grouped, seconds};

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The draft whose keys are made; it is not changed
    #[arg(value_name = "DRAFT_DIR")]
    draft: PathBuf,
    #[command(flatten)]
    powers: PowersArgs,
    /// Folder for the contributions; new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Proof system
    #[arg(long, value_enum, default_value = "auto")]
    backend: BackendArg,
}

pub(crate) fn run(args: &NewArgs, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let unwritable = |error: std::io::Error| {
        let message = format!("cannot make {}: {error}", args.out.display());
        Failure::environment("file-unwritable", message)
    };
    std::fs::create_dir_all(&args.out).map_err(unwritable)?;
    if std::fs::read_dir(&args.out)
        .map_err(unwritable)?
        .next()
        .is_some()
    {
        return Err(unwritable(std::io::Error::other("it is not empty")));
    }
    let bars = output.bars();
    let (circuit, initial) = initial(
        &args.draft,
        Some(args.backend.choice()),
        &args.powers,
        &bars,
    )?;
    let path = folder::path_of(&args.out, 0);
    let digest = file::write_initial(&path, &initial).or_fail()?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let object = json!({
        "file": path,
        "digest": digest,
        "backend": circuit.backend.name(),
        "circuit": initial.circuit,
        "phase1": initial.phase1,
        "constraints": circuit.r1cs.num_constraints(),
        "seconds": elapsed,
    });
    let text = format!(
        "began a ceremony for {} constraints ({}, {})\n\
         circuit  {}\n\
         phase 1  {}\n\
         file     {}\n\
         Send the file to the first contributor. Anyone who has the draft and the powers of tau makes \
         the same file.",
        grouped(circuit.r1cs.num_constraints() as u64),
        circuit.backend.name(),
        seconds(elapsed),
        initial.circuit,
        initial.phase1,
        path.display(),
    );
    output.result(&object, &text)
}
