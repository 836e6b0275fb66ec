//! `proofmark ceremony finalize`: a sealed package whose keys are a ceremony's.

use std::path::PathBuf;
use std::time::Instant;

use clap::{ArgGroup, Args};
use proofmark_ceremony::zkey;
use proofmark_engine::{BackendChoice, seal_ceremony};
use proofmark_verify::Failure;
use serde_json::json;

use super::verify::{SourceArgs, verified};
use crate::failures::OrFail as _;
use crate::output::{Output, bytes, seconds};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("key").required(true).args(["ceremony", "zkey"])))]
pub(crate) struct FinalizeArgs {
    /// The draft; it is not changed
    #[arg(value_name = "DRAFT_DIR")]
    draft: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
    /// Folder for the sealed package; new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write the key as a snarkjs .zkey file; plain circuits only
    #[arg(long, value_name = "FILE.zkey")]
    export_zkey: Option<PathBuf>,
    /// Also write the circuit as an iden3 .r1cs file, which `snarkjs zkey verify` asks for
    #[arg(long, value_name = "FILE.r1cs")]
    export_r1cs: Option<PathBuf>,
}

pub(crate) fn run(args: &FinalizeArgs, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let bars = output.bars();
    let verified = verified(&args.draft, &args.source, &bars)?;
    if let Some(path) = &args.export_r1cs {
        write_r1cs(path, &verified.circuit)?;
    }
    if let Some(path) = &args.export_zkey {
        let contributions = &verified.record.contributions;
        zkey::write(
            path,
            &verified.circuit,
            &verified.initial,
            &verified.key,
            contributions,
        )
        .or_fail()?;
    }
    let (object, text) = (verified.object(), verified.text());
    let backend = verified.backend.unwrap_or(BackendChoice::Auto);
    let (key, record) = (verified.key, verified.record);
    let package = seal_ceremony(&args.draft, &args.out, backend, key, record).or_fail()?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let sealed = package.sealed().or_fail()?;
    let digest = package.digest();
    let object = json!({
        "package_digest": digest,
        "folder": args.out,
        "name": package.manifest().name,
        "version": package.manifest().version,
        "setup": sealed.setup_kind.name(),
        "ceremony": object,
        "verifying_key": sealed.verifying_key,
        "proving_key": sealed.proving_key,
        "transcript": sealed.transcript,
        "seconds": elapsed,
    });
    let text = format!(
        "sealed {} version {} in {} ({})\n\
         package    {digest}\n\
         keys       proving {}, verifying {}, setup {}\n\
         {text}\n\
         Pin the package digest wherever receipts are verified.",
        package.manifest().name,
        package.manifest().version,
        args.out.display(),
        seconds(elapsed),
        bytes(sealed.proving_key.bytes),
        bytes(sealed.verifying_key.bytes),
        sealed.setup_kind.name(),
    );
    output.result(&object, &text)
}

fn write_r1cs(path: &std::path::Path, circuit: &proofmark_gadgets::Circuit) -> Result<(), Failure> {
    use std::io::Write as _;
    let write = || -> std::io::Result<()> {
        let file = std::fs::File::create(path)?;
        let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
        circuit.r1cs.write_iden3(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()
    };
    write().map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Failure::environment("file-unwritable", message)
    })
}
