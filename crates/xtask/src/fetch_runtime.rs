//! `cargo xtask fetch-runtime`: the pinned ONNX Runtime library, out of its wheel, into the
//! user's cache.
//!
//! `pip` only carries the bytes; the Python that runs it need not be the one that the wheel is
//! for. Wheel and library are both checked against pinned digests, and the library appears under
//! its name in one step, so that an interrupted or concurrent fetch leaves nothing half-written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use proofmark_runtime::library::{
    self, ORT_VERSION, OVERRIDE_VARIABLE, PinnedLibrary, WHEEL_ABI, WHEEL_PYTHON,
};
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;

/// What was done, for the person at the terminal.
pub(crate) enum Outcome {
    /// The user names a library; nothing was fetched.
    Overridden(PathBuf),
    /// The right library was there already.
    Present(PathBuf),
    /// It was fetched.
    Fetched(PathBuf),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overridden(path) => write!(
                f,
                "{OVERRIDE_VARIABLE} names {}; nothing fetched",
                path.display()
            ),
            Self::Present(path) => {
                write!(
                    f,
                    "ONNX Runtime {ORT_VERSION} is already at {}",
                    path.display()
                )
            }
            Self::Fetched(path) => {
                write!(
                    f,
                    "ONNX Runtime {ORT_VERSION} fetched to {}",
                    path.display()
                )
            }
        }
    }
}

/// Puts the library where [`library::locate`] finds it, unless it is there.
pub(crate) fn run() -> Result<Outcome> {
    if let Some(path) = library::overridden()? {
        return Ok(Outcome::Overridden(path));
    }
    let pin = library::pinned()?;
    let target = library::cached()?;
    if target.is_file() && file_digest(&target)? == pin.library_digest {
        return Ok(Outcome::Present(target));
    }
    let folder = target.parent().context("the cache has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // In the same folder, hence on the same file system as the target: renaming is atomic there.
    let scratch = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    download(pin, scratch.path())?;
    install(
        &scratch.path().join(pin.wheel_file),
        pin,
        scratch.path(),
        &target,
    )?;
    Ok(Outcome::Fetched(target))
}

/// Lets pip put the pinned wheel into `folder`.
fn download(pin: &PinnedLibrary, folder: &Path) -> Result<()> {
    let python = "python3";
    let remedy = format!(
        "install Python 3 with pip (Debian and Ubuntu: apt-get install python3-pip; macOS: \
         brew install python), or set {OVERRIDE_VARIABLE} to an ONNX Runtime {ORT_VERSION} library"
    );
    let has_pip = match Command::new(python)
        .args(["-m", "pip", "--version"])
        .output()
    {
        Ok(output) => output.status.success(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{python} is not on the PATH: {remedy}")
        }
        Err(error) => return Err(error).context(format!("cannot run {python}")),
    };
    ensure!(has_pip, "{python} has no pip: {remedy}");

    let output = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args(["--no-deps", "--only-binary=:all:", "--implementation", "cp"])
        .args(["--python-version", WHEEL_PYTHON, "--abi", WHEEL_ABI])
        .args(["--platform", pin.wheel_platform, "--dest"])
        .arg(folder)
        .arg(format!("onnxruntime=={ORT_VERSION}"))
        .output()
        .with_context(|| format!("cannot run {python}"))?;
    ensure!(
        output.status.success(),
        "pip could not download {}: {}\ncheck the network and pip's configuration, or set \
         {OVERRIDE_VARIABLE} to an ONNX Runtime {ORT_VERSION} library",
        pin.wheel_file,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Checks the wheel, takes the library out of it, checks that, and moves it to `target`.
fn install(wheel: &Path, pin: &PinnedLibrary, scratch: &Path, target: &Path) -> Result<()> {
    ensure!(wheel.is_file(), "pip brought no {}", pin.wheel_file);
    expect_digest(pin.wheel_file, file_digest(wheel)?, pin.wheel_digest)?;

    let archive = File::open(wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
    let mut archive = zip::ZipArchive::new(archive)
        .with_context(|| format!("{} is no zip archive", pin.wheel_file))?;
    let member = archive
        .by_name(pin.member)
        .with_context(|| format!("{} holds no {}", pin.wheel_file, pin.member))?;
    let unpacked = scratch.join(pin.file_name);
    let mut file =
        File::create(&unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
    io::copy(
        &mut member.take(pin.library_size.saturating_add(1)),
        &mut file,
    )
    .with_context(|| format!("cannot unpack {}", pin.member))?;
    file.flush()?;
    file.sync_all()?;
    drop(file);
    expect_digest(pin.file_name, file_digest(&unpacked)?, pin.library_digest)?;
    fs::rename(&unpacked, target)
        .with_context(|| format!("cannot move the library to {}", target.display()))
}

fn expect_digest(name: &str, found: Digest, expected: Digest) -> Result<()> {
    ensure!(
        found == expected,
        "{name} has digest {found}, pinned is {expected}: nothing was installed; the package \
         index or a proxy serves another file than the pinned one"
    );
    Ok(())
}

fn file_digest(path: &Path) -> Result<Digest> {
    let reading = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let mut digest = DigestStream::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).with_context(reading)?;
        if count == 0 {
            return Ok(digest.finish());
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &[u8] = b"the library";

    /// A wheel with the one member, and the pin that fits it.
    fn wheel(folder: &Path) -> (PathBuf, PinnedLibrary) {
        let pin = library::PINNED[0].clone();
        let path = folder.join(pin.wheel_file);
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file(pin.member, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(LIBRARY).unwrap();
        zip.finish().unwrap();
        let pin = PinnedLibrary {
            wheel_digest: file_digest(&path).unwrap(),
            library_digest: Digest::of(LIBRARY),
            library_size: LIBRARY.len() as u64,
            ..pin
        };
        (path, pin)
    }

    #[test]
    fn the_right_library_replaces_whatever_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pin) = wheel(folder.path());
        let target = folder.path().join("installed");
        fs::write(&target, b"damaged").unwrap();
        install(&path, &pin, folder.path(), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), LIBRARY);
        assert!(!folder.path().join(pin.file_name).exists());
    }

    #[test]
    fn nothing_is_installed_that_is_not_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pin) = wheel(folder.path());
        let target = folder.path().join("installed");
        let other = Digest::of(b"other");
        let cases = [
            (
                PinnedLibrary {
                    wheel_digest: other,
                    ..pin.clone()
                },
                "nothing was installed",
            ),
            (
                PinnedLibrary {
                    library_digest: other,
                    ..pin.clone()
                },
                "nothing was installed",
            ),
            (
                PinnedLibrary {
                    library_size: 3,
                    ..pin.clone()
                },
                "nothing was installed",
            ),
            (
                PinnedLibrary {
                    member: "absent",
                    ..pin.clone()
                },
                "holds no absent",
            ),
        ];
        for (pin, complaint) in cases {
            let error = install(&path, &pin, folder.path(), &target).unwrap_err();
            assert!(format!("{error:#}").contains(complaint), "{error:#}");
            assert!(!target.exists());
        }
        let absent = folder.path().join("absent.whl");
        let error = install(&absent, &pin, folder.path(), &target).unwrap_err();
        assert!(error.to_string().contains("pip brought no"), "{error}");
    }

    #[test]
    fn a_damaged_wheel_is_refused_before_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pin) = wheel(folder.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(&path, bytes).unwrap();
        let error = install(&path, &pin, folder.path(), &folder.path().join("t")).unwrap_err();
        assert!(
            error.to_string().contains("nothing was installed"),
            "{error}"
        );
    }
}
