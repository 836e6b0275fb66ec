//! `cargo xtask release`: stripped programs for Linux with their papers, in one archive a target, the
//! Python wheel, and the digests of all of it.
//!
//! What is built is the commit that is checked out, as `cargo xtask reproduce` builds it. The same
//! commit and compiler give the same archive: names in order, no owners, the commit's time.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use proofmark_runtime::library::ORT_VERSION;
use proofmark_types::Digest;

use crate::build::{Toolchain, commit, extract, git, refuse_paths};
use crate::supply::{RELEASED, Supply, host, output, root};
use crate::{licences, say, sbom};

/// Where the Python package is.
const PYTHON: &str = "clients/python";
/// The file with the digests, as `sha256sum -c` reads it.
const SUMS: &str = "SHA256SUMS";

/// What to make.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What for; may be repeated (default: this machine)
    #[arg(long, value_enum)]
    target: Vec<Target>,
    /// The folder for the archives
    #[arg(long, default_value = "dist")]
    out: PathBuf,
    /// Leave the Python wheel out
    #[arg(long)]
    no_wheel: bool,
}

/// A Linux that is released for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// 64-bit Intel and AMD
    #[value(name = "x86-64")]
    X86_64,
    /// 64-bit ARM
    Arm64,
}

impl Target {
    /// As file names have it.
    const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust names it.
    pub(crate) const fn architecture(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn own() -> Result<Self> {
        let host = host()?;
        Self::value_variants()
            .iter()
            .copied()
            .find(|target| host == format!("{}-unknown-linux-gnu", target.architecture()))
            .with_context(|| {
                format!(
                    "releases are for Linux on x86-64 and arm64, this is {host}; name a --target"
                )
            })
    }
}

/// A commit's files in a folder of their own.
struct Sources {
    folder: PathBuf,
    commit: String,
    /// Unix seconds of the commit.
    time: u64,
    version: String,
}

/// Makes the archives; prints `digest  file`, as `sha256sum` does.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = root()?;
    let targets = match options.target.as_slice() {
        [] => vec![Target::own()?],
        named => named.to_vec(),
    };
    // Before anything is built: is there all that building takes?
    let mut toolchains = Vec::new();
    for target in targets {
        toolchains.push((target, Toolchain::linux(target.architecture())?));
    }
    let commit = commit(&root)?;
    let time = output(git(&root).args(["show", "-s", "--format=%ct", &commit]))?;
    let time = time.trim().parse().context("git names no time")?;
    let changed = output(git(&root).args(["status", "--porcelain", "--untracked-files=no"]))?;
    if !changed.is_empty() {
        say("the working tree has changes; what is released is the commit without them")?;
    }
    let scratch = tempfile::Builder::new()
        .prefix("release-")
        .tempdir_in(root.join("target"))
        .context("cannot write to target")?;
    let folder = scratch.path().join("sources");
    extract(&root, &commit, &folder)?;
    let sources = Sources {
        folder,
        commit,
        time,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let out = root.join(&options.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for (target, toolchain) in &toolchains {
        archive(&sources, *target, toolchain, scratch.path(), &out)?;
    }
    if !options.no_wheel && sources.folder.join(PYTHON).join("pyproject.toml").is_file() {
        wheel(&sources, &out)?;
    }
    for line in sums(&out)? {
        say(&line)?;
    }
    Ok(())
}

/// Builds the programs for one target, and packs them with their papers.
fn archive(
    sources: &Sources,
    target: Target,
    toolchain: &Toolchain,
    scratch: &Path,
    out: &Path,
) -> Result<()> {
    let name = format!("proofmark-{}-linux-{}", sources.version, target.name());
    let stage = scratch.join(target.name());
    let folder = stage.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let supply = Supply::read(&toolchain.triple)?;
    let mut glibc = (0, 0);
    let mut digests = String::new();
    for program in RELEASED {
        let built = toolchain.build(&sources.folder, program)?;
        let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        refuse_paths(&bytes, scratch, program)?;
        ensure!(is_stripped(&bytes), "{program} is no stripped ELF program");
        glibc = glibc.max(needed_glibc(&bytes));
        writeln!(digests, "    {}  {program}", Digest::of(&bytes).to_hex())?;
        write(&folder.join(program), &bytes)?;
        set_executable(&folder.join(program))?;
        let tried = if starts(&folder.join(program), target)? {
            "starts"
        } else {
            "not tried, because nothing here runs it"
        };
        say(&format!(
            "{program} for {}: {} bytes, {tried}",
            target.name(),
            bytes.len()
        ))?;
        let bill = sbom::bill(&supply, program, &toolchain.triple)?;
        write(&folder.join(format!("{program}.cdx.json")), &bill)?;
    }
    let glibc = format!("{}.{}", glibc.0, glibc.1);
    let readme = include_str!("release_readme.md")
        .replace("{version}", &sources.version)
        .replace("{architecture}", target.name())
        .replace("{runtime}", ORT_VERSION)
        .replace("{glibc}", &glibc)
        .replace("{commit}", &sources.commit)
        .replace("{compiler}", &toolchain.compiler()?)
        .replace("{digests}", digests.trim_end());
    write(&folder.join("README.md"), readme.as_bytes())?;
    let texts = licences::texts(&supply, &toolchain.triple)?;
    write(&folder.join("THIRD-PARTY-LICENCES.txt"), texts.as_bytes())?;
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(sources.folder.join(file), folder.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    let archive = out.join(format!("{name}.tar.gz"));
    pack(&stage, &name, sources.time, &archive)?;
    say(&format!(
        "{}: {} bytes, needs glibc {glibc}",
        archive.display(),
        fs::metadata(&archive)?.len()
    ))
}

/// Packs a folder, so that the same content gives the same bytes.
fn pack(parent: &Path, name: &str, time: u64, archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar")
        .args(["--sort=name", "--format=ustar", "--numeric-owner"])
        .args(["--owner=0", "--group=0", "--mode=u=rwX,go=rX"])
        .arg(format!("--mtime=@{time}"))
        .args(["-cf", "-", "-C"])
        .arg(parent)
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let packed = tar.stdout.take().context("tar has no output")?;
    let mut part = archive.as_os_str().to_owned();
    part.push(".part");
    let file = fs::File::create(&part)
        .with_context(|| format!("cannot write {}", Path::new(&part).display()))?;
    let zipped = Command::new("gzip")
        .args(["-9", "-n"])
        .stdin(packed)
        .stdout(file)
        .status()
        .context("cannot start gzip")?;
    ensure!(
        tar.wait()?.success() && zipped.success(),
        "the archive cannot be packed; GNU tar is needed"
    );
    fs::rename(&part, archive).with_context(|| format!("cannot write {}", archive.display()))
}

/// The wheel for this machine, by the command that the Python package's README names, from the
/// commit's files.
fn wheel(sources: &Sources, out: &Path) -> Result<()> {
    let status = Command::new("python3")
        .args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"])
        .arg(out)
        .arg(sources.folder.join(PYTHON))
        .env("CARGO_TARGET_DIR", sources.folder.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", sources.time.to_string())
        .status()
        .context("cannot start python3; leave the wheel out with --no-wheel")?;
    ensure!(
        status.success(),
        "pip could not make the wheel; leave it out with --no-wheel"
    );
    Ok(())
}

/// Writes the digests of everything in the folder, and gives them.
fn sums(out: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_released = [Some(OsStr::new("gz")), Some(OsStr::new("whl"))];
        if is_released.contains(&path.extension()) {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            lines.push(format!("{}  {name}", Digest::of(&bytes).to_hex()));
        }
    }
    lines.sort_by(|a, b| {
        a.split_once("  ")
            .map(|l| l.1)
            .cmp(&b.split_once("  ").map(|l| l.1))
    });
    let mut text = lines.join("\n");
    text.push('\n');
    write(&out.join(SUMS), text.as_bytes())?;
    Ok(lines)
}

/// Whether the program prints its version: here, or emulated. `false` when nothing here can run it.
fn starts(program: &Path, target: Target) -> Result<bool> {
    let run = |mut command: Command| -> Result<()> {
        let said = output(command.arg(program).arg("--version"))?;
        ensure!(
            said.contains(env!("CARGO_PKG_VERSION")),
            "{} says {said:?}",
            program.display()
        );
        Ok(())
    };
    if target == Target::own()? {
        let mut env = Command::new("env");
        env.env_clear();
        return run(env).map(|()| true);
    }
    let emulator = format!("qemu-{}", target.architecture());
    let system = format!("/usr/{}-linux-gnu", target.architecture());
    let there = Command::new(&emulator).arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) || !Path::new(&system).is_dir() {
        return Ok(false);
    }
    let mut emulated = Command::new(emulator);
    emulated.args(["-L", &system]);
    run(emulated).map(|()| true)
}

/// Whether these are the bytes of an ELF program without a table of symbols.
fn is_stripped(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") && !contains(bytes, b"\0.symtab\0")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The newest version of glibc's symbols that a program names: the oldest glibc that it runs with.
fn needed_glibc(bytes: &[u8]) -> (u32, u32) {
    const MARK: &[u8] = b"GLIBC_";
    let mut newest = (0, 0);
    for (at, window) in bytes.windows(MARK.len()).enumerate() {
        if window != MARK {
            continue;
        }
        let rest = bytes.get(at + MARK.len()..).unwrap_or_default();
        let end = rest.iter().position(|b| !b.is_ascii_digit() && *b != b'.');
        let text = String::from_utf8_lossy(rest.get(..end.unwrap_or(0)).unwrap_or_default());
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        newest = newest.max((parts.next().unwrap_or(0), parts.next().unwrap_or(0)));
    }
    newest
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(unix)]
fn set_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", path.display()))
}

#[cfg(not(unix))]
fn set_executable(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_packed_into_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let packed = |order: [&str; 2], name: &str| {
            let parent = folder.path().join(name);
            let inside = parent.join("p");
            fs::create_dir_all(&inside).unwrap();
            for file in order {
                fs::write(inside.join(file), file).unwrap();
            }
            set_executable(&inside.join("a")).unwrap();
            let archive = folder.path().join(format!("{name}.tar.gz"));
            pack(&parent, "p", 1_700_000_000, &archive).unwrap();
            fs::read(archive).unwrap()
        };
        let first = packed(["a", "b"], "one");
        assert_eq!(first, packed(["b", "a"], "another"));
        let list = output(
            Command::new("tar")
                .arg("-tvzf")
                .arg(folder.path().join("one.tar.gz")),
        );
        let list = list.unwrap();
        assert!(list.contains("-rwxr-xr-x 0/0"), "{list}");
        assert!(list.contains("-rw-r--r-- 0/0"), "{list}");
        assert!(pack(folder.path(), "absent", 0, &folder.path().join("x.tar.gz")).is_err());
        assert!(!folder.path().join("x.tar.gz").exists());
    }

    #[test]
    fn digests_are_of_what_is_released_and_sha256sum_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.tar.gz", "a.whl", "notes.txt", "c.tar.gz.part"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        let lines = sums(folder.path()).unwrap();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("  a.whl"));
        let mut check = Command::new("sha256sum");
        output(check.args(["-c", SUMS]).current_dir(folder.path())).unwrap();
    }

    #[test]
    fn a_programs_needs_are_read_from_its_bytes() {
        let bytes = b"\x7fELF..GLIBC_2.17\0GLIBC_2.34\0GLIBC_2.4\0GLIBC_PRIVATE\0";
        assert_eq!(needed_glibc(bytes), (2, 34));
        assert_eq!(needed_glibc(b"GLIBC_"), (0, 0));
        assert!(is_stripped(bytes));
        assert!(!is_stripped(b"\x7fELF\0.symtab\0"));
        assert!(!is_stripped(b"#!/bin/sh"));
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!is_stripped(&own), "tests keep their symbols");
    }

    #[test]
    fn a_target_that_nothing_builds_for_is_refused_with_its_remedy() {
        let error = Toolchain::linux("no-such").unwrap_err().to_string();
        assert!(error.contains("no-such-linux-gnu-gcc"), "{error}");
        assert!(error.contains("apt-get install"), "{error}");
        let own = Target::own().unwrap();
        assert_eq!(
            Toolchain::linux(own.architecture()).unwrap(),
            Toolchain::native().unwrap()
        );
    }
}
