//! Installs the systems that are compared with, each once, under the working folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What pip installs, below the repository's root.
const REQUIREMENTS: &str = "benchmarks/requirements.txt";
/// What npm installs.
const PACKAGES: &str = "benchmarks/snarkjs";

/// The Python of an environment with EZKL. An error is the reason for people.
pub(crate) fn ezkl(work: &Path) -> Result<PathBuf, String> {
    let venv = work.join("venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("installed.txt");
    let wanted = read(Path::new(REQUIREMENTS))?;
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let remedy = "install Python 3.10 or newer with its venv module";
    step(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        remedy,
    )?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]);
    step(&mut install, "see to it that pip reaches its index")?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// The folder in which snarkjs is installed. An error is the reason for people.
pub(crate) fn snarkjs(work: &Path) -> Result<PathBuf, String> {
    let folder = work.join("snarkjs");
    let stamp = folder.join("installed.json");
    let wanted = read(&Path::new(PACKAGES).join("package-lock.json"))?;
    if fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(folder);
    }
    let remedy = "install Node 20 or newer, with npm";
    step(Command::new("node").arg("--version"), remedy)?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(Path::new(PACKAGES).join(file), folder.join(file))
            .map_err(|error| format!("{file}: {error}"))?;
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    step(install.current_dir(&folder), remedy)?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(folder)
}

/// The version of a package in one of the two lists of what is installed.
pub(crate) fn pinned(package: &str) -> Option<String> {
    if package == "ezkl" {
        let text = read(Path::new(REQUIREMENTS)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("ezkl=="))?;
        return Some(line.trim().to_owned());
    }
    let text = read(&Path::new(PACKAGES).join("package.json")).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(
        value
            .get("dependencies")?
            .get(package)?
            .as_str()?
            .to_owned(),
    )
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| {
        format!(
            "cannot read {}: {error}; run in the root of the repository",
            path.display()
        )
    })
}

fn step(command: &mut Command, remedy: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        format!(
            "cannot start {}: {error}; {remedy}",
            command.get_program().display()
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!(
        "{} failed: {}; {remedy}",
        command.get_program().display(),
        last.unwrap_or_default()
    ))
}
