//! `proofmark ceremony verify`: whether a key follows from circuit, powers of tau and contributions.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use proofmark_ceremony::CeremonyError;
use proofmark_ceremony::phase2::{Chain, InitialKey, file, folder, verify_record};
use proofmark_ceremony::zkey::{Zkey, read_r1cs};
use proofmark_engine::{BackendChoice, Progress};
use proofmark_gadgets::Circuit;
use proofmark_package::Package;
use proofmark_prover::ceremony::CeremonyRecord;
use proofmark_prover::{LoadedKey, ProvingKey, Transcript, key_file};
use proofmark_types::Digest;
use proofmark_types::manifest::Sealed;
use proofmark_verify::{Exit, Failure, bytes_to_hex as hex};
use serde_json::{Value, json};

use super::circuit::{PowersArgs, choice_of, initial, initial_of};
use super::hash;
use crate::failures::OrFail as _;
use crate::output::{Output, seconds};

/// Where the contributions are.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    powers: PowersArgs,
    /// Folder of the contributions
    #[arg(long, value_name = "DIR")]
    ceremony: Option<PathBuf>,
    /// A snarkjs .zkey file of the plain circuit, instead of --ceremony
    #[arg(long, value_name = "FILE.zkey", conflicts_with = "ceremony")]
    zkey: Option<PathBuf>,
    /// Hash that a contributor published; the key is refused without that contribution. May be repeated
    #[arg(long, value_name = "HASH", value_parser = hash)]
    contribution: Vec<Vec<u8>>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The sealed package whose keys are verified; or the draft, whose contributions --ceremony or --zkey
    /// gives
    #[arg(value_name = "DIR", required_unless_present = "r1cs")]
    folder: Option<PathBuf>,
    /// The circuit as an iden3 .r1cs file of any compiler, instead of a draft, for a .zkey file
    #[arg(
        long,
        value_name = "FILE.r1cs",
        conflicts_with = "folder",
        requires = "zkey"
    )]
    r1cs: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// A key that was verified.
pub(super) struct Verified {
    pub(super) circuit: Circuit,
    pub(super) initial: InitialKey,
    pub(super) key: ProvingKey,
    pub(super) record: CeremonyRecord,
    pub(super) backend: Option<BackendChoice>,
    chain: Chain,
    absent: Vec<usize>,
}

/// Verifies the contributions of `source` to the circuit of a draft or package; of a package also that
/// its keys are the ones that they made.
pub(super) fn verified(
    draft: &Path,
    source: &SourceArgs,
    progress: &dyn Progress,
) -> Result<Verified, Failure> {
    let package = Package::open(draft).or_fail()?;
    // A package's own claim is read before minutes are spent.
    let claim = match package.manifest().sealed {
        Some(_) => Some(Claim::of(&package)?),
        None if source.ceremony.is_none() && source.zkey.is_none() => {
            return Err(Failure::usage(
                "circuit-missing",
                "a draft has no keys that could be verified; give --ceremony or --zkey",
            ));
        }
        None => None,
    };
    let contributed = match (&source.ceremony, &source.zkey, &claim) {
        (Some(ceremony), ..) => of_folder(draft, ceremony, source, progress)?,
        (None, Some(zkey), _) => of_zkey(draft, zkey, source, progress)?,
        (None, None, Some(claim)) => of_package(draft, &package, claim, source, progress)?,
        // Refused above.
        (None, None, None) => return Err(Failure::usage("circuit-missing", "nothing to verify")),
    };
    let given = source.ceremony.is_some() || source.zkey.is_some();
    if let (Some(claim), true) = (&claim, given) {
        let loaded = claim.key(&package, &contributed.initial.circuit)?;
        // A .zkey file has no place for statements and files' digests.
        let record = source.ceremony.is_none() || claim.record == contributed.record;
        if loaded.key != contributed.key || !record {
            let message = "the contributions hold, and the package's keys or transcript are others";
            let failure = Failure::new(Exit::Rejected, "ceremony-mismatch", message);
            return Err(failure.hint("do not use the package; finalize the contributions again"));
        }
    }
    folder::contains(&contributed.chain, &source.contribution).or_fail()?;
    Ok(contributed)
}

fn of_folder(
    draft: &Path,
    ceremony: &Path,
    source: &SourceArgs,
    progress: &dyn Progress,
) -> Result<Verified, Failure> {
    let (_, last) = folder::last(ceremony).or_fail()?;
    let header = file::Contribution::open(&last, progress).or_fail()?.header;
    let backend = choice_of(&header.backend);
    let (circuit, initial) = initial(draft, backend, &source.powers, progress)?;
    let verified = folder::verify(ceremony, &initial, &source.contribution, progress).or_fail()?;
    Ok(Verified {
        circuit,
        initial,
        key: verified.key,
        record: verified.record,
        backend,
        chain: verified.chain,
        absent: verified.absent,
    })
}

fn of_zkey(
    draft: &Path,
    zkey: &Path,
    source: &SourceArgs,
    progress: &dyn Progress,
) -> Result<Verified, Failure> {
    let (circuit, initial) = initial(draft, Some(BackendChoice::Plain), &source.powers, progress)?;
    judge_zkey(circuit, initial, zkey, progress)
}

fn of_r1cs(
    r1cs: &Path,
    zkey: &Path,
    source: &SourceArgs,
    progress: &dyn Progress,
) -> Result<Verified, Failure> {
    let circuit = read_r1cs(r1cs).or_fail()?;
    let initial = initial_of(&circuit, &source.powers, progress)?;
    let verified = judge_zkey(circuit, initial, zkey, progress)?;
    folder::contains(&verified.chain, &source.contribution).or_fail()?;
    Ok(verified)
}

fn judge_zkey(
    circuit: Circuit,
    initial: InitialKey,
    zkey: &Path,
    progress: &dyn Progress,
) -> Result<Verified, Failure> {
    let zkey = Zkey::read(zkey, progress).or_fail()?;
    let (record, chain) = zkey.verify(&circuit, &initial, progress).or_fail()?;
    Ok(Verified {
        circuit,
        initial,
        key: zkey.key,
        record,
        backend: Some(BackendChoice::Plain),
        chain,
        absent: Vec::new(),
    })
}

/// What a sealed package says of the ceremony that made its keys.
struct Claim {
    transcript: Transcript,
    record: CeremonyRecord,
    sealed: Sealed,
}

impl Claim {
    fn of(package: &Package) -> Result<Self, Failure> {
        let sealed = package.sealed().or_fail()?.clone();
        let transcript = Transcript::parse(&package.read(&sealed.transcript).or_fail()?)
            .map_err(CeremonyError::from)
            .or_fail()?;
        let Some(record) = transcript.ceremony.clone() else {
            let message = format!(
                "the package's keys are not of a ceremony: their setup is {}",
                transcript.kind.name()
            );
            let code = "ceremony-no-contribution";
            return Err(Failure::new(Exit::Rejected, code, message));
        };
        if transcript.kind.name() != sealed.setup_kind.name() {
            let message =
                "the manifest and the transcript of the package tell different kinds of setup";
            return Err(Failure::new(Exit::Rejected, "manifest-mismatch", message));
        }
        Ok(Self {
            transcript,
            record,
            sealed,
        })
    }

    /// The proving key, which circuit, transcript and the verifying key's file agree with.
    fn key(&self, package: &Package, circuit: &Digest) -> Result<LoadedKey, Failure> {
        let pinned = &self.sealed.proving_key.digest;
        let path = package.path_of(&self.sealed.proving_key.file);
        drop(package.read(&self.sealed.verifying_key).or_fail()?);
        let loaded = key_file::load(&path, pinned, circuit)
            .map_err(CeremonyError::from)
            .or_fail()?;
        let verifying_key = &self.sealed.verifying_key.digest;
        self.transcript
            .verify_key(&loaded)
            .and_then(|()| self.transcript.verify(circuit, pinned, verifying_key))
            .map_err(CeremonyError::from)
            .or_fail()?;
        Ok(loaded)
    }
}

fn of_package(
    folder: &Path,
    package: &Package,
    claim: &Claim,
    source: &SourceArgs,
    progress: &dyn Progress,
) -> Result<Verified, Failure> {
    let (circuit, initial) = initial(folder, None, &source.powers, progress)?;
    let key = claim.key(package, &initial.circuit)?.key;
    let chain = verify_record(&initial, &claim.record, &key, progress).or_fail()?;
    Ok(Verified {
        circuit,
        initial,
        key,
        record: claim.record.clone(),
        backend: None,
        chain,
        absent: Vec::new(),
    })
}

pub(crate) fn run(args: &VerifyArgs, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let bars = output.bars();
    let verified = match (&args.r1cs, &args.folder, &args.source.zkey) {
        (Some(r1cs), _, Some(zkey)) => of_r1cs(r1cs, zkey, &args.source, &bars)?,
        (None, Some(folder), _) => verified(folder, &args.source, &bars)?,
        _ => {
            return Err(Failure::usage(
                "circuit-missing",
                "give a draft, or --r1cs and --zkey",
            ));
        }
    };
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let mut object = verified.object();
    if let Some(members) = object.as_object_mut() {
        members.insert("valid".to_owned(), json!(true));
        members.insert("seconds".to_owned(), json!(elapsed));
    }
    let text = format!(
        "the key follows from circuit, phase 1 and {} contributions ({})\n{}",
        verified.record.contributions.len(),
        seconds(elapsed),
        verified.text(),
    );
    output.result(&object, &text)
}

impl Verified {
    /// What was verified, for programs.
    pub(super) fn object(&self) -> Value {
        let records = self.record.contributions.iter().zip(&self.chain.hashes);
        let contributions: Vec<Value> = records
            .map(|(record, hash)| {
                json!({
                    "name": record.name,
                    "statement": record.statement,
                    "hash": hex(hash),
                    "beacon": record.beacon,
                })
            })
            .collect();
        json!({
            "backend": self.circuit.backend.name(),
            "circuit": self.initial.circuit,
            "phase1": self.initial.phase1,
            "contributions": contributions,
            "files_absent": self.absent,
        })
    }

    /// What was verified, for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "circuit  {}\nphase 1  {}\n",
            self.initial.circuit, self.initial.phase1
        );
        let records = self.record.contributions.iter().zip(&self.chain.hashes);
        for (number, (record, hash)) in (1..).zip(records) {
            let kind = if record.beacon.is_some() {
                " (beacon)"
            } else {
                ""
            };
            text.push_str(&format!(
                "{number:>4}  {}{kind}\n      {}\n",
                record.name,
                hex(hash)
            ));
        }
        if !self.absent.is_empty() {
            text.push_str(&format!(
                "Earlier files that are not in the folder, so that only their proofs were verified: {:?}\n",
                self.absent
            ));
        }
        text.push_str(
            "The key is safe if one of them forgot their secret, and one contributor of phase 1 theirs. \
             Compare the hashes with those that they published: who was dropped at the end is missed by \
             nobody else.",
        );
        text
    }
}
