//! `cargo xtask reproduce`: builds the released programs twice, in folders with different paths,
//! and compares every byte.
//!
//! What is built is the commit that is checked out, not the working tree. Paths are mapped away
//! (`--remap-path-prefix`, and `-ffile-prefix-map` for the C in dependencies); nothing else that
//! is different between two machines of one kind enters: versions are locked, the build has no
//! clock and no incremental state. The compiler is part of the input: its version stands in the
//! result, and another one makes other bytes. What comes out is what `cargo xtask release` packs.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use proofmark_types::Digest;

use crate::build::{Toolchain, commit, extract, refuse_paths};
use crate::release::Target;
use crate::say;
use crate::supply::{RELEASED, root};

/// Folders to build in, of different depth and length.
const FOLDERS: [&str; 2] = ["one", "second/folder-of-another-length"];

/// What to build.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these programs (all without)
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(RELEASED))]
    only: Vec<String>,
    /// What for (default: this machine)
    #[arg(long, value_enum)]
    target: Option<Target>,
}

/// Builds twice and compares; prints `digest  program`, as `sha256sum` does.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = root()?;
    let programs: Vec<&str> = RELEASED
        .into_iter()
        .filter(|name| options.only.is_empty() || options.only.iter().any(|only| only == name))
        .collect();
    let commit = commit(&root)?;
    let toolchain = match options.target {
        Some(target) => Toolchain::linux(target.architecture())?,
        None => Toolchain::native()?,
    };
    say(&format!("commit {commit}, {}", toolchain.compiler()?))?;
    let scratch = tempfile::Builder::new()
        .prefix("reproduce-")
        .tempdir_in(root.join("target"))
        .context("cannot write to target")?;
    let mut built = Vec::new();
    for folder in FOLDERS {
        let folder = scratch.path().join(folder);
        extract(&root, &commit, &folder)?;
        let mut digests = Vec::new();
        for name in &programs {
            let program = toolchain.build(&folder, name)?;
            let bytes =
                fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
            refuse_paths(&bytes, scratch.path(), name)?;
            digests.push(Digest::of(&bytes));
        }
        // The second build must find nothing of the first, and the disk has room for one.
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
        built.push(digests);
    }
    let [first, second] = built.as_slice() else {
        bail!("two builds were asked for");
    };
    for ((name, first), second) in programs.iter().zip(first).zip(second) {
        ensure!(
            first == second,
            "{name} is not reproducible: {first} and {second}"
        );
        say(&format!("{}  {name}", first.to_hex()))?;
    }
    Ok(())
}
