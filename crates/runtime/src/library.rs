//! Which ONNX Runtime library is pinned for a platform, and where it is looked for.
//!
//! The library is taken out of one wheel a platform, whatever Python the user has; both the wheel
//! and the library inside it are pinned by SHA-256. This module only knows and locates:
//! `cargo xtask fetch-runtime` fetches.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proofmark_types::Digest;

use crate::error::RuntimeError;

/// The one release whose arithmetic has been measured.
pub const ORT_VERSION: &str = "1.31.1";

/// Commit that the release was built from, as the library reports it of itself.
pub(crate) const ORT_COMMIT: &str = "6af1a93";

/// Environment variable that names a library to use in place of the cached one.
pub const OVERRIDE_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The wheel and the library pinned for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedLibrary {
    /// Operating system, as [`std::env::consts::OS`] names it.
    pub os: &'static str,
    /// Processor, as [`std::env::consts::ARCH`] names it.
    pub arch: &'static str,
    /// Platform tag of the wheel.
    pub wheel_platform: &'static str,
    /// File name of the wheel.
    pub wheel_file: &'static str,
    /// SHA-256 of the wheel.
    pub wheel_digest: Digest,
    /// Path of the library inside the wheel.
    pub member: &'static str,
    /// File name of the library.
    pub file_name: &'static str,
    /// SHA-256 of the library.
    pub library_digest: Digest,
    /// Size of the library in bytes.
    pub library_size: u64,
}

/// Python version tag, as `pip download` wants it, of every pinned wheel.
pub const WHEEL_PYTHON: &str = "3.12";
/// ABI tag of every pinned wheel.
pub const WHEEL_ABI: &str = "cp312";

/// All pinned platforms.
pub static PINNED: [PinnedLibrary; 3] = [
    PinnedLibrary {
        os: "linux",
        arch: "x86_64",
        wheel_platform: "manylinux_2_28_x86_64",
        wheel_file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl",
        wheel_digest: digest(b"1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536"),
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        file_name: "libonnxruntime.so.1.31.1",
        library_digest: digest(b"fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3"),
        library_size: 29_352_200,
    },
    PinnedLibrary {
        os: "linux",
        arch: "aarch64",
        wheel_platform: "manylinux_2_28_aarch64",
        wheel_file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_aarch64.whl",
        wheel_digest: digest(b"0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc"),
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        file_name: "libonnxruntime.so.1.31.1",
        library_digest: digest(b"8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467"),
        library_size: 25_265_040,
    },
    PinnedLibrary {
        os: "macos",
        arch: "aarch64",
        wheel_platform: "macosx_14_0_arm64",
        wheel_file: "onnxruntime-1.31.1-cp312-cp312-macosx_14_0_arm64.whl",
        wheel_digest: digest(b"96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c"),
        member: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        file_name: "libonnxruntime.1.31.1.dylib",
        library_digest: digest(b"d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36"),
        library_size: 33_037_336,
    },
];

/// The library pinned for the platform that this program runs on.
///
/// # Errors
/// [`RuntimeError::PlatformUnsupported`] when there is none.
pub fn pinned() -> Result<&'static PinnedLibrary, RuntimeError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    PINNED
        .iter()
        .find(|pin| pin.os == os && pin.arch == arch)
        .ok_or_else(|| RuntimeError::PlatformUnsupported {
            platform: format!("{os} on {arch}"),
        })
}

/// The library that the user names in [`OVERRIDE_VARIABLE`], if any, as an absolute path.
///
/// # Errors
/// [`RuntimeError::OverrideMissing`] when the variable is set and names no file.
pub fn overridden() -> Result<Option<PathBuf>, RuntimeError> {
    override_in(std::env::var_os(OVERRIDE_VARIABLE))
}

/// Where the pinned library lies once it has been fetched:
/// `${PROOFMARK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}}/proofmark/onnxruntime-1.31.1/<file>`.
///
/// # Errors
/// [`RuntimeError::PlatformUnsupported`] and [`RuntimeError::CacheUnknown`].
pub fn cached() -> Result<PathBuf, RuntimeError> {
    let root = cache_root(|name| std::env::var_os(name)).ok_or(RuntimeError::CacheUnknown)?;
    Ok(root
        .join("proofmark")
        .join(format!("onnxruntime-{ORT_VERSION}"))
        .join(pinned()?.file_name))
}

/// The library to load: the one that the user names, else the cached one. It exists; whether it
/// is the right one is checked by [`init`](crate::init).
///
/// # Errors
/// As [`overridden`] and [`cached`], and [`RuntimeError::LibraryMissing`] when nothing has been
/// fetched yet.
pub fn locate() -> Result<PathBuf, RuntimeError> {
    if let Some(path) = overridden()? {
        return Ok(path);
    }
    let path = cached()?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(RuntimeError::LibraryMissing { path })
    }
}

fn override_in(variable: Option<OsString>) -> Result<Option<PathBuf>, RuntimeError> {
    let Some(path) = variable
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
    else {
        return Ok(None);
    };
    // The bindings look for a relative path beside the executable; the user means the current
    // folder.
    match std::path::absolute(&path) {
        Ok(absolute) if absolute.is_file() => Ok(Some(absolute)),
        _ => Err(RuntimeError::OverrideMissing { path }),
    }
}

/// The first of the three variables that holds an absolute path. The XDG base directory
/// specification has relative paths ignored; so does this for all three.
fn cache_root(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    path("PROOFMARK_CACHE_DIR")
        .or_else(|| path("XDG_CACHE_HOME"))
        .or_else(|| path("HOME").map(|home: PathBuf| home.join(Path::new(".cache"))))
}

/// The digest that 64 lower-case hex digits spell; anything else fails to compile.
const fn digest(hex: &[u8; 64]) -> Digest {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = nibble(hex[2 * at]) << 4 | nibble(hex[2 * at + 1]);
        at += 1;
    }
    Digest::from_bytes(bytes)
}

const fn nibble(digit: u8) -> u8 {
    assert!(
        digit.is_ascii_digit() || (digit >= b'a' && digit <= b'f'),
        "not a lower-case hex digit"
    );
    if digit.is_ascii_digit() {
        digit - b'0'
    } else {
        digit - b'a' + 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_of_the_one_release_and_no_two_are_alike() {
        for (at, pin) in PINNED.iter().enumerate() {
            assert!(
                pin.wheel_file
                    .starts_with(&format!("onnxruntime-{ORT_VERSION}-{WHEEL_ABI}-"))
            );
            assert!(
                pin.wheel_file
                    .ends_with(&format!("{}.whl", pin.wheel_platform))
            );
            assert!(pin.member.ends_with(pin.file_name) && pin.file_name.contains(ORT_VERSION));
            for other in &PINNED[at + 1..] {
                assert_ne!(pin.library_digest, other.library_digest);
                assert_ne!(pin.wheel_digest, other.wheel_digest);
                assert_ne!((pin.os, pin.arch), (other.os, other.arch));
            }
        }
        assert_eq!(
            PINNED[0].library_digest.to_string(),
            "sha256:fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3"
        );
    }

    #[test]
    fn the_cache_lies_where_the_most_specific_variable_says() {
        let root = |set: &[(&str, &str)]| {
            cache_root(|name| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| OsString::from(value))
            })
        };
        let all = [
            ("PROOFMARK_CACHE_DIR", "/p"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(root(&all), Some(PathBuf::from("/p")));
        assert_eq!(root(&all[1..]), Some(PathBuf::from("/x")));
        assert_eq!(root(&all[2..]), Some(PathBuf::from("/h/.cache")));
        assert_eq!(root(&[]), None);
        assert_eq!(
            root(&[("XDG_CACHE_HOME", "relative"), all[2]]),
            Some(PathBuf::from("/h/.cache"))
        );
        assert_eq!(
            root(&[("PROOFMARK_CACHE_DIR", ""), all[1]]),
            Some(PathBuf::from("/x"))
        );
    }

    #[test]
    fn an_override_must_name_a_file() {
        assert_eq!(override_in(None).unwrap(), None);
        assert_eq!(override_in(Some(OsString::new())).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lib.so");
        for absent in [folder.path(), &file] {
            let error = override_in(Some(absent.into())).unwrap_err();
            assert_eq!(error.code(), "runtime-library-missing");
            assert!(
                error.to_string().contains("cargo xtask fetch-runtime"),
                "{error}"
            );
        }
        std::fs::write(&file, b"x").unwrap();
        assert_eq!(override_in(Some(file.clone().into())).unwrap(), Some(file));
    }
}
