//! `proofmark ceremony contribute` and `ceremony beacon`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use proofmark_ceremony::phase2::{Factors, Texts, file, folder};
use proofmark_engine::Progress;
use proofmark_verify::{Failure, bytes_to_hex as hex};
use serde_json::json;

use super::circuit::absent;
use crate::failures::OrFail as _;
use crate::output::{Output, seconds};

/// What is contributed to, and where the contribution goes.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// The contribution before yours, or a folder of contributions, whose last one counts
    #[arg(value_name = "PATH")]
    previous: PathBuf,
    /// Where to write yours (default: the next one in the folder)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ContributeArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Your name, for the record; at most 255 bytes
    #[arg(long, default_value = "")]
    name: String,
    /// What others should know of how you did it
    #[arg(long, default_value = "")]
    statement: String,
}

pub(crate) fn run(args: &ContributeArgs, output: Output) -> Result<(), Failure> {
    let texts = Texts {
        name: args.name.clone(),
        statement: args.statement.clone(),
        beacon: None,
    };
    add(
        &args.place,
        texts,
        "The secret was wiped. Publish the hash under your name: whoever verifies the key can demand \
         that it is part of it.",
        output,
        |committed, _| Factors::from_system(committed).or_fail(),
    )
}

/// Contributes with factors that are made when it is known whether there is a commitment.
pub(super) fn add(
    place: &PlaceArgs,
    texts: Texts,
    advice: &str,
    output: Output,
    factors: impl FnOnce(bool, &dyn Progress) -> Result<Factors, Failure>,
) -> Result<(), Failure> {
    let start = Instant::now();
    let (previous, path) = paths(place)?;
    absent(&path)?;
    let bars = output.bars();
    let source = file::Contribution::open(&previous, &bars).or_fail()?;
    let factors = factors(source.chain.deltas.committed.is_some(), &bars)?;
    drop(source);
    let made = file::contribute(&previous, &path, &factors, texts, &bars).or_fail()?;
    drop(factors);
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let hash = hex(&made.hash);
    let object = json!({
        "file": path,
        "digest": made.file,
        "number": made.number,
        "hash": hash,
        "seconds": elapsed,
    });
    let text = format!(
        "contribution {} in {} ({})\nhash    {hash}\ndigest  {}\n{advice}",
        made.number,
        path.display(),
        seconds(elapsed),
        made.file,
    );
    output.result(&object, &text)
}

/// The file before, and the one to be written.
fn paths(place: &PlaceArgs) -> Result<(PathBuf, PathBuf), Failure> {
    let in_folder = |folder: &Path| -> Result<(PathBuf, PathBuf), Failure> {
        let (number, previous) = folder::last(folder).or_fail()?;
        Ok((previous, folder::path_of(folder, number + 1)))
    };
    match (&place.out, place.previous.is_dir()) {
        (None, true) => in_folder(&place.previous),
        (Some(out), true) => Ok((in_folder(&place.previous)?.0, out.clone())),
        (Some(out), false) => Ok((place.previous.clone(), out.clone())),
        (None, false) => Err(Failure::usage(
            "contribution-place",
            "give --out with the file to write, or the folder of the contributions",
        )),
    }
}
