//! Other people's programs that some work needs, each with the command that gets it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Check;

/// A program, what it is for, and how to get it.
struct Tool {
    /// Any of these is enough.
    programs: &'static [&'static str],
    purpose: &'static str,
    /// Debian, Ubuntu and their kin.
    debian: &'static str,
    /// macOS.
    brew: &'static str,
    /// Where nothing is known of the system.
    other: &'static str,
    /// Oldest main version that is enough, where older ones are common.
    least: Option<u32>,
}

const TOOLS: &[Tool] = &[
    Tool {
        programs: &["python3"],
        purpose: "fetching ONNX Runtime (with pip), and the Python package",
        debian: "apt-get install python3 python3-pip",
        brew: "brew install python",
        other: "https://www.python.org/downloads/",
        least: None,
    },
    Tool {
        programs: &["node"],
        purpose: "the TypeScript package (20 or newer), contracts with solc, a local chain (anvil), tests",
        debian: "apt-get install nodejs (Debian 12 has 18: https://nodejs.org/en/download)",
        brew: "brew install node",
        other: "https://nodejs.org/en/download",
        least: Some(20),
    },
    Tool {
        programs: &["npm"],
        purpose: "fetching solc, anvil and the TypeScript package's tools",
        debian: "apt-get install npm",
        brew: "brew install node",
        other: "https://nodejs.org/en/download",
        least: None,
    },
    Tool {
        programs: &["cargo"],
        purpose: "building from source (Rust 1.95 or newer)",
        debian: "apt-get install rustup && rustup default stable (Debian 12: https://rustup.rs)",
        brew: "brew install rustup && rustup default stable",
        other: "https://rustup.rs",
        least: None,
    },
    Tool {
        programs: &["cc", "gcc", "clang"],
        purpose: "building from source: SQLite is C",
        debian: "apt-get install gcc libc6-dev",
        brew: "xcode-select --install",
        other: "your system's C compiler",
        least: None,
    },
    Tool {
        programs: &["git"],
        purpose: "building from source and releases",
        debian: "apt-get install git",
        brew: "brew install git",
        other: "https://git-scm.com",
        least: None,
    },
    Tool {
        programs: &["wasm-ld", "rust-lld", "lld"],
        purpose: "building the verifier for browsers (`cargo xtask wasm`), where rustup is absent",
        debian: "apt-get install rustc-web rust-web-src lld-22 (with rustup instead: rustup target add wasm32-unknown-unknown)",
        brew: "rustup target add wasm32-unknown-unknown",
        other: "rustup target add wasm32-unknown-unknown",
        least: None,
    },
    Tool {
        programs: &["chromium", "chromium-browser", "google-chrome"],
        purpose: "tests of the page and of the TypeScript package in a browser",
        debian: "apt-get install chromium",
        brew: "brew install --cask chromium",
        other: "https://www.chromium.org/getting-involved/download-chromium/",
        least: None,
    },
    Tool {
        programs: &["go"],
        purpose: "a test that lets Go's transparency log read ours",
        debian: "apt-get install golang-go golang-golang-x-mod-dev",
        brew: "brew install go",
        other: "https://go.dev/dl/",
        least: None,
    },
    Tool {
        programs: &["qemu-x86_64", "qemu-x86_64-static"],
        purpose: "tests on emulated processors (`cargo xtask emulation`)",
        debian: "apt-get install qemu-user",
        brew: "in a Linux container",
        other: "https://www.qemu.org/download/",
        least: None,
    },
    Tool {
        programs: &["aarch64-linux-gnu-gcc"],
        purpose: "releases for arm64 from another processor (`cargo xtask release --target arm64`)",
        debian: "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        brew: "in a Linux container",
        other: "a C compiler for aarch64-linux-gnu",
        least: None,
    },
];

/// Each tool: there, or how to get it. None of them is needed to prove, verify or serve.
pub(super) fn all() -> Vec<Check> {
    let mut folders: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.extend(llvm());
    let family = Family::of(
        env::consts::OS,
        &fs::read_to_string("/etc/os-release").unwrap_or_default(),
    );
    TOOLS
        .iter()
        .map(|tool| judge(tool, &folders, family))
        .collect()
}

/// Where Debian keeps linkers of LLVM.
fn llvm() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
        .map(|entry| entry.path().join("bin"))
}

/// The main version that a program says it has.
fn main_version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits = said.trim_start().trim_start_matches('v');
    digits.split('.').next()?.parse().ok()
}

fn judge(tool: &Tool, folders: &[PathBuf], family: Family) -> Check {
    let mut programs = tool.programs.iter();
    let found = programs.find_map(|program| {
        let mut places = folders.iter().map(|folder| folder.join(program));
        places.find(|place| is_program(place))
    });
    let name = tool.programs.first().copied().unwrap_or_default();
    let text = match (found, tool.least) {
        (Some(place), Some(least)) if main_version(&place).is_none_or(|is| is < least) => format!(
            "{} is older than {least}, wanted for {}",
            place.display(),
            tool.purpose
        ),
        (Some(place), _) => {
            return Check::ok("tool", format!("{}: {}", place.display(), tool.purpose));
        }
        (None, _) => format!("{name} is not here, wanted for {}", tool.purpose),
    };
    Check::note("tool", text).remedy(match family {
        Family::Debian => tool.debian,
        Family::MacOs => tool.brew,
        Family::Other => tool.other,
    })
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.with_extension(env::consts::EXE_EXTENSION).is_file()
}

/// Systems that get programs by the same commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Debian,
    MacOs,
    Other,
}

impl Family {
    /// From the operating system and the text of `/etc/os-release`.
    fn of(os: &str, release: &str) -> Self {
        let is_debian = release
            .lines()
            .filter_map(|line| {
                line.strip_prefix("ID=")
                    .or_else(|| line.strip_prefix("ID_LIKE="))
            })
            .flat_map(|value| value.trim_matches('"').split(' '))
            .any(|id| matches!(id, "debian" | "ubuntu"));
        match os {
            "macos" => Self::MacOs,
            "linux" if is_debian => Self::Debian,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart() {
        let debian = "NAME=\"x\"\nID=debian\n";
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
        assert_eq!(Family::of("linux", debian), Family::Debian);
        assert_eq!(Family::of("linux", mint), Family::Debian);
        assert_eq!(Family::of("linux", "ID=fedora\n"), Family::Other);
        assert_eq!(Family::of("macos", ""), Family::MacOs);
    }

    #[cfg(unix)]
    #[test]
    fn a_tool_that_is_too_old_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node");
        let tool = TOOLS.iter().find(|t| t.programs == ["node"]).unwrap();
        for (says, status) in [
            ("v18.19.0", super::super::Status::Note),
            ("v20.0.0", super::super::Status::Ok),
            ("nonsense", super::super::Status::Note),
        ] {
            fs::write(&path, format!("#!/bin/sh\necho {says}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            let check = judge(tool, &[folder.path().to_owned()], Family::Debian);
            assert_eq!(check.status, status, "{says}: {}", check.text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_tool_is_a_program_on_the_path_or_a_note_with_its_command() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go");
        fs::write(&path, "").unwrap();
        let tool = TOOLS.iter().find(|t| t.programs == ["go"]).unwrap();
        let folders = [folder.path().to_owned()];
        let absent = judge(tool, &folders, Family::Debian);
        assert_eq!(absent.status, super::super::Status::Note);
        assert!(absent.remedy.unwrap().starts_with("apt-get install golang"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let there = judge(tool, &folders, Family::Debian);
        assert_eq!(there.status, super::super::Status::Ok);
    }
}
