//! `cargo xtask bench`: builds the benchmark and starts it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{fetch_runtime, say};

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Build for development: quicker to build, a little slower to run
    #[arg(long)]
    dev: bool,
    /// What `proofmark-bench run` takes; `--help` lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Fetches the runtime, builds and runs.
pub(crate) fn run(options: &Options) -> Result<()> {
    say(&fetch_runtime::run()?.to_string())?;
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--package", "proofmark-bench"]);
    if !options.dev {
        say("building (release) …")?;
        build.arg("--release");
    }
    if !build.status().context("cannot start cargo")?.success() {
        bail!("the benchmark does not build");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let profile = if options.dev { "debug" } else { "release" };
    let program = target
        .join(profile)
        .join(format!("proofmark-bench{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(&program)
        .arg("run")
        .args(&options.arguments)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}
