//! `proofmark-verify`: verifies a receipt, offline, for whoever received it.
//!
//! Exit codes: 0 accepted, 1 rejected, 2 usage, 3 environment.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use proofmark_verify::{Exit, Failure, Request, VerifyArgs, printable, verify};

/// Verifies that a receipt proves what it says, against a package that you pin.
///
/// Exit codes: 0 accepted, 1 rejected, 2 usage, 3 environment (a file cannot be read).
#[derive(Debug, Parser)]
#[command(name = "proofmark-verify", version)]
struct Cli {
    #[command(flatten)]
    verify: VerifyArgs,
    /// The package's manifest.json
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The package's verifying_key.bin
    #[arg(long, value_name = "FILE")]
    verifying_key: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. Nothing can be done about a closed stream.
            let printed = error.print();
            drop(printed);
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Success.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    match run(&cli) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => failure.finish(cli.json),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let verified = verify(&Request {
        args: &cli.verify,
        manifest: &cli.manifest,
        verifying_key: &cli.verifying_key,
    })?;
    let report = verified.report();
    let text = if cli.json {
        report.json().to_string()
    } else {
        printable(&report.text())
    };
    writeln!(io::stdout().lock(), "{text}")
        .map_err(|error| Failure::environment("output-closed", error.to_string()))
}
