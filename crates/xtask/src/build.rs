//! How the released programs are built, on any machine into the same bytes: a commit's files in a
//! folder of their own, paths mapped away, versions locked, symbols stripped.
//!
//! `cargo xtask release` and `cargo xtask reproduce` both build so: what the one makes, the other
//! makes again.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::supply::{host, output};

/// What paths of the sources and of the package cache are called in the programs.
const SOURCES: &str = "/proofmark";
const PACKAGES: &str = "/packages";
/// … and those of a standard library that is built along.
const LIBRARY: &str = "/rust";
/// The compiler of Debian's packages, which has the standard library's sources.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A target, and what builds for it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    pub(crate) triple: String,
    /// Names of linker and C compiler when they are not this machine's own.
    cross: Option<String>,
    /// The folder of the standard library's sources, when it must be built along.
    library: Option<PathBuf>,
}

impl Toolchain {
    /// Of this machine, for itself.
    pub(crate) fn native() -> Result<Self> {
        Ok(Self {
            triple: host()?,
            cross: None,
            library: None,
        })
    }

    /// Of this machine, for a Linux of GNU on `architecture`, as Rust names it.
    pub(crate) fn linux(architecture: &str) -> Result<Self> {
        let triple = format!("{architecture}-unknown-linux-gnu");
        if triple == host()? {
            return Self::native();
        }
        let cross = format!("{architecture}-linux-gnu");
        let compiler = format!("{cross}-gcc");
        let debian = match architecture {
            "aarch64" => "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
            "x86_64" => "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
            other => other,
        };
        ensure!(
            Command::new(&compiler)
                .arg("--version")
                .output()
                .is_ok_and(|o| o.status.success()),
            "there is no {compiler}: install it (Debian: apt-get install {debian})"
        );
        let library = if has_target(&triple) {
            None
        } else {
            let sources = debian_library().with_context(|| {
                format!(
                    "there is no standard library for {triple}: `rustup target add {triple}`, or \
                     install Debian's rustc-web and rust-web-src"
                )
            })?;
            Some(sources)
        };
        Ok(Self {
            triple,
            cross: Some(cross),
            library,
        })
    }

    /// Builds one program from a folder of sources; where it is.
    pub(crate) fn build(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let mut command = self.cargo(folder)?;
        command.args([
            "build",
            "--release",
            "--locked",
            "--offline",
            "--package",
            name,
        ]);
        let native = self.triple == host()?;
        if !native {
            command.args(["--target", &self.triple]);
        }
        if self.library.is_some() {
            command.args(["-Z", "build-std=std,panic_unwind"]);
        }
        let status = command.status().context("cannot start cargo")?;
        ensure!(status.success(), "cargo build of {name} failed");
        let mut target = folder.join("target");
        if !native {
            target.push(&self.triple);
        }
        Ok(target.join("release").join(name))
    }

    /// The compiler that builds, in its own words.
    pub(crate) fn compiler(&self) -> Result<String> {
        let rustc = self.library.as_ref().map_or("rustc", |_| DEBIAN_RUSTC);
        let version = output(Command::new(rustc).arg("--version"))?;
        Ok(version.trim().to_owned())
    }

    /// cargo in a folder of sources, with everything set that decides what comes out.
    pub(crate) fn cargo(&self, folder: &Path) -> Result<Command> {
        let mut maps = vec![(folder.to_owned(), SOURCES), (cargo_home()?, PACKAGES)];
        if let Some(library) = &self.library {
            maps.push((library.clone(), LIBRARY));
        }
        let mut command = Command::new("cargo");
        command
            .current_dir(folder)
            // Those of the outer cargo, which runs this.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&maps))
            .env("CFLAGS", c_flags(&maps)?)
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_COLOR", "never");
        if let Some(cross) = &self.cross {
            let lower = self.triple.replace('-', "_");
            let linker = format!("CARGO_TARGET_{}_LINKER", lower.to_uppercase());
            command
                .env(linker, format!("{cross}-gcc"))
                .env(format!("CC_{lower}"), format!("{cross}-gcc"))
                .env(format!("AR_{lower}"), format!("{cross}-ar"));
        }
        if self.library.is_some() {
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
        }
        Ok(command)
    }
}

/// Whether the toolchain at hand has a target's standard library.
pub(crate) fn has_target(triple: &str) -> bool {
    let folder = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", triple])
        .output();
    folder.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

/// The sources of the standard library of Debian's compiler, where they are installed.
pub(crate) fn debian_library() -> Option<PathBuf> {
    let sysroot = Command::new(DEBIAN_RUSTC)
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let library = sysroot.join("lib/rustlib/src/rust/library");
    // Debian has a link there; paths in what is compiled are those behind it.
    library.is_dir().then(|| library.canonicalize().ok())?
}

/// The commit that is checked out.
pub(crate) fn commit(root: &Path) -> Result<String> {
    let commit = output(git(root).args(["rev-parse", "HEAD"]))?;
    Ok(commit.trim().to_owned())
}

pub(crate) fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(root);
    git
}

/// The files of a commit.
pub(crate) fn extract(root: &Path, commit: &str, folder: &Path) -> Result<()> {
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

/// Where packages are unpacked.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = env::home_dir().context("this user has no home folder")?;
    Ok(home.join(".cargo"))
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
        flags.push(OsStr::new(to));
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

/// A path that is left in a program is found here even when every build has it.
pub(crate) fn refuse_paths(bytes: &[u8], scratch: &Path, name: &str) -> Result<()> {
    let path = scratch.as_os_str().as_encoded_bytes();
    let found = bytes.windows(path.len()).any(|window| window == path);
    ensure!(!found, "{name} names the folder that it was built in");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::root;

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
