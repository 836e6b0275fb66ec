//! `cargo xtask reproduce`: builds the released programs twice, in folders with different paths,
//! and compares every byte.
//!
//! What is built is the commit that is checked out, not the working tree. Paths are mapped away
//! (`--remap-path-prefix`, and `-ffile-prefix-map` for the C in dependencies); nothing else that
//! is different between two machines of one kind enters: versions are locked, the build has no
//! clock and no incremental state. The compiler is part of the input: its version stands in the
//! result, and another one makes other bytes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use proofmark_types::Digest;

use crate::say;
use crate::supply::{RELEASED, output, root};

/// Folders to build in, of different depth and length.
const FOLDERS: [&str; 2] = ["one", "second/folder-of-another-length"];
/// What paths of the sources and of the package cache are called in the programs.
const SOURCES: &str = "/proofmark";
const PACKAGES: &str = "/packages";

/// What to build.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these programs (all without)
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(RELEASED))]
    only: Vec<String>,
}

/// Builds twice and compares; prints `digest  program`, as `sha256sum` does.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = root()?;
    let programs: Vec<&str> = RELEASED
        .into_iter()
        .filter(|name| options.only.is_empty() || options.only.iter().any(|only| only == name))
        .collect();
    let commit = output(git(&root).args(["rev-parse", "HEAD"]))?;
    let compiler = output(Command::new("rustc").arg("--version"))?;
    say(&format!("commit {}, {}", commit.trim(), compiler.trim()))?;
    let scratch = tempfile::Builder::new()
        .prefix("reproduce-")
        .tempdir_in(root.join("target"))
        .context("cannot write to target")?;
    let mut built = Vec::new();
    for folder in FOLDERS {
        let folder = scratch.path().join(folder);
        extract(&root, commit.trim(), &folder)?;
        let mut digests = Vec::new();
        for name in &programs {
            build(&folder, name)?;
            let program = folder.join("target/release").join(name);
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

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(root);
    git
}

/// The files of a commit.
fn extract(root: &Path, commit: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut archive = git(root)
        .args(["archive", "--format=tar", commit])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start git")?;
    let tar = archive.stdout.take().context("git has no output")?;
    let unpacked = Command::new("tar")
        .arg("-xf-")
        .current_dir(folder)
        .stdin(tar)
        .status()
        .context("cannot start tar")?;
    ensure!(
        archive.wait()?.success() && unpacked.success(),
        "the commit's files cannot be extracted"
    );
    Ok(())
}

fn build(folder: &Path, name: &str) -> Result<()> {
    let maps = [(folder.to_owned(), SOURCES), (cargo_home()?, PACKAGES)];
    let mut command = Command::new("cargo");
    command
        .current_dir(folder)
        .args([
            "build",
            "--release",
            "--locked",
            "--offline",
            "--package",
            name,
        ])
        // Those of the outer cargo, which runs this.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&maps))
        .env("CFLAGS", c_flags(&maps)?)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TERM_COLOR", "never");
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo build of {name} failed");
    Ok(())
}

/// Where packages are unpacked.
fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}

/// Flags in cargo's encoding, which takes paths with blanks.
fn rust_flags(maps: &[(PathBuf, &str)]) -> OsString {
    let mut flags = OsString::new();
    for (index, (from, to)) in maps.iter().enumerate() {
        if index > 0 {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

/// The same for C, whose flags are split at blanks.
fn c_flags(maps: &[(PathBuf, &str)]) -> Result<String> {
    let mut flags = Vec::new();
    for (from, to) in maps {
        let from = from.to_str().context("a path is no text")?;
        ensure!(
            !from.contains(char::is_whitespace),
            "{from:?} has a blank in it, which C compilers cannot be told of here; build elsewhere"
        );
        flags.push(format!("-ffile-prefix-map={from}={to}"));
    }
    Ok(flags.join(" "))
}

/// A path that is left in a program is found here even when both builds have it.
fn refuse_paths(bytes: &[u8], scratch: &Path, name: &str) -> Result<()> {
    let path = scratch.as_os_str().as_encoded_bytes();
    let found = bytes.windows(path.len()).any(|window| window == path);
    ensure!(!found, "{name} names the folder that it was built in");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_mapped_and_those_left_are_found() {
        let maps = [
            (PathBuf::from("/a b/c"), SOURCES),
            (PathBuf::from("/d"), PACKAGES),
        ];
        assert_eq!(
            rust_flags(&maps),
            "--remap-path-prefix=/a b/c=/proofmark\u{1f}--remap-path-prefix=/d=/packages"
        );
        assert!(c_flags(&maps).is_err());
        assert_eq!(
            c_flags(&maps[1..]).unwrap(),
            "-ffile-prefix-map=/d=/packages"
        );
        let scratch = Path::new("/scratch/x");
        refuse_paths(b"text /scratch/y text", scratch, "p").unwrap();
        assert!(refuse_paths(b"text /scratch/x/one/src text", scratch, "p").is_err());
    }

    #[test]
    fn a_commit_is_extracted_without_the_working_trees_changes() {
        let folder = tempfile::tempdir().unwrap();
        let root = root().unwrap();
        extract(&root, "HEAD", folder.path()).unwrap();
        assert!(folder.path().join("Cargo.lock").is_file());
        assert!(!folder.path().join("target").exists());
        assert!(extract(&root, "no-such-commit", folder.path()).is_err());
    }
}
