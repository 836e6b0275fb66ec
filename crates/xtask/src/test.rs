//! `cargo xtask test`: everything a fresh machine needs for the tests, then the tests.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{fetch_runtime, say};

/// Fetches the runtime, checks for Node and Go, builds the programs and runs every test of the workspace.
pub(crate) fn run() -> Result<()> {
    say(&fetch_runtime::run()?.to_string())?;
    check_node()?;
    check_go()?;
    // Programs whose packages have integration tests are built with them. (`build --bins` before would
    // build half of the dependencies twice: without the features that only tests ask for.)
    // nextest prints the better summary; plain `cargo test` needs nothing that Rust does not bring.
    if Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo(&["test", "--workspace", "--no-fail-fast"])
    }
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

fn check_node() -> Result<()> {
    let remedy = "the tests let snarkjs check our proofs: install Node 20 or newer, with npm";
    let output = Command::new("node")
        .arg("--version")
        .output()
        .context(remedy)?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|m| m.parse::<u32>().ok());
    match major {
        Some(major) if major >= 20 => Ok(()),
        _ => bail!("node is {version:?}; {remedy}"),
    }
}

fn check_go() -> Result<()> {
    let remedy = "Go's own transparency log reads ours in a test: install Debian's golang-go and \
                  golang-golang-x-mod-dev";
    let output = Command::new("go").arg("version").output();
    if !output.context(remedy)?.status.success() {
        bail!("go does not run; {remedy}");
    }
    Ok(())
}
