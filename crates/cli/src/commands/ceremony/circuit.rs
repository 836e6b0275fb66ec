//! What all steps of phase 2 begin with: a circuit, powers of tau, and the key that both give.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_ceremony::phase1::{self, Ptau};
use proofmark_ceremony::phase2::{InitialKey, domain_power};
use proofmark_engine::{BackendChoice, Progress, compile_folder};
use proofmark_gadgets::{Backend, Circuit};
use proofmark_types::Digest;
use proofmark_verify::{Exit, Failure};

use crate::failures::OrFail as _;

/// Powers of tau.
#[derive(Debug, Args)]
pub(crate) struct PowersArgs {
    /// Powers of tau, prepared or not: a .ptau file of snarkjs or of `ceremony phase1`
    #[arg(long, value_name = "FILE.ptau")]
    pub(crate) phase1: PathBuf,
    /// Digest of a .ptau file that you verified before: then it is compared and not verified again
    #[arg(long, value_name = "DIGEST")]
    pub(crate) phase1_digest: Option<Digest>,
}

/// Verifies powers of tau, or compares their digest. Whether they suffice is seen first: verifying takes
/// minutes.
fn open(args: &PowersArgs, power: u32, progress: &dyn Progress) -> Result<Ptau, Failure> {
    let ptau = Ptau::open(&args.phase1).or_fail()?;
    if power > ptau.power() {
        let message = format!(
            "the circuit needs powers of tau of power {power}; {} has power {}",
            args.phase1.display(),
            ptau.power()
        );
        let failure = Failure::new(Exit::Rejected, "ptau-unsuitable", message);
        return Err(failure.hint(format!(
            "take a larger .ptau file, or make one: `proofmark ceremony phase1 new --power {power}`"
        )));
    }
    match args.phase1_digest {
        None => drop(phase1::verify_open(&ptau, progress).or_fail()?),
        Some(expected) => {
            let got = ptau.digest(progress).or_fail()?;
            if got != expected {
                let message = format!("the .ptau file has digest {got}, you gave {expected}");
                let failure = Failure::new(Exit::Rejected, "ceremony-mismatch", message);
                return Err(failure.hint("fetch the file that you verified"));
            }
        }
    }
    Ok(ptau)
}

/// Compiles the circuit of a draft or package and makes its key before any contribution.
pub(crate) fn initial(
    folder: &Path,
    backend: Option<BackendChoice>,
    powers: &PowersArgs,
    progress: &dyn Progress,
) -> Result<(Circuit, InitialKey), Failure> {
    let circuit = compile_folder(folder, backend).or_fail()?;
    let initial = initial_of(&circuit, powers, progress)?;
    Ok((circuit, initial))
}

/// Makes a circuit's key before any contribution.
pub(crate) fn initial_of(
    circuit: &Circuit,
    powers: &PowersArgs,
    progress: &dyn Progress,
) -> Result<InitialKey, Failure> {
    let ptau = open(powers, domain_power(circuit).or_fail()?, progress)?;
    InitialKey::from_ptau(circuit, &ptau, progress).or_fail()
}

/// The choice that makes a circuit of a proof system named in a ceremony's files.
pub(crate) fn choice_of(name: &str) -> Option<BackendChoice> {
    if name == Backend::Plain.name() {
        Some(BackendChoice::Plain)
    } else if name == Backend::Committed.name() {
        Some(BackendChoice::Lookup)
    } else {
        None
    }
}

/// That nothing is at a path: what was contributed is never written over.
pub(super) fn absent(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Failure::environment("file-unwritable", message)
            .hint("contributions are never written over; choose a new name"));
    }
    Ok(())
}
