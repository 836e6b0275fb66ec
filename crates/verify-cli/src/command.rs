//! The command line of a verification, and carrying it out.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_recipient::{Demands, Verified, bytes_from_hex, open_package};
use proofmark_types::Digest;
use proofmark_types::manifest::MAX_MANIFEST_BYTES;
use proofmark_types::receipt::MAX_ENVELOPE_BYTES;

use crate::attested::AttestationArgs;
use crate::failure::Failure;
use crate::files::{MAX_KEY_BYTES, read_bounded};
use crate::logged::{LogArgs, LogFiles};
use crate::opening::read_openings;

/// What is asked of a receipt, the same in `proofmark-verify` and `proofmark verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The receipt
    #[arg(value_name = "RECEIPT")]
    pub receipt: PathBuf,
    /// Digest of the package that you trust, sha256:…; get it from a source that you trust, not
    /// from whoever gave you the receipt
    #[arg(long, value_name = "DIGEST")]
    pub package_digest: Digest,
    /// Public key of the service that must have signed: 0x and 64 hex digits
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    pub service_key: Option<[u8; 32]>,
    /// Nonce that the receipt must answer: 0x and 64 hex digits
    #[arg(long, value_name = "NONCE", value_parser = bytes32)]
    pub nonce: Option<[u8; 32]>,
    /// What is asked of the transparency log.
    #[command(flatten)]
    pub log: LogArgs,
    /// Whose word on the package is taken.
    #[command(flatten)]
    pub attestations: AttestationArgs,
    /// Values (and salts) of hidden tensors, to be compared with their commitments
    #[arg(long, value_name = "FILE")]
    pub openings: Option<PathBuf>,
}

/// Reads 32 bytes from the command line.
pub(crate) fn bytes32(text: &str) -> Result<[u8; 32], String> {
    bytes_from_hex(text).ok_or_else(|| "it must be 0x and 64 hex digits".to_owned())
}

/// The files that a receipt is verified against.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The command line.
    pub args: &'a VerifyArgs,
    /// The package's manifest.
    pub manifest: &'a Path,
    /// The package's verifying key.
    pub verifying_key: &'a Path,
}

/// Verifies a receipt.
///
/// # Errors
/// [`Failure`]: exit 1 for a receipt or package that is rejected, 2 for a command line that does not
/// make sense, 3 for a file that cannot be read.
pub fn verify(request: &Request<'_>) -> Result<Verified, Failure> {
    let Request {
        args,
        manifest,
        verifying_key,
    } = *request;
    let receipt = read_bounded(&args.receipt, MAX_ENVELOPE_BYTES)?;
    let manifest = read_bounded(manifest, MAX_MANIFEST_BYTES)?;
    let verifying_key = read_bounded(verifying_key, MAX_KEY_BYTES)?;
    let openings = match &args.openings {
        Some(path) => read_openings(path)?,
        None => Vec::new(),
    };
    let package = open_package(args.package_digest, &manifest, &verifying_key)?;
    let log = args.log.read()?;
    let demands = Demands {
        context: None,
        nonce: args.nonce,
        service_key: args.service_key,
        openings,
        attesters: args.attestations.read()?,
        log: log.as_ref().map(LogFiles::demand),
        now: None,
    };
    Ok(proofmark_recipient::verify(&package, &receipt, &demands)?)
}
