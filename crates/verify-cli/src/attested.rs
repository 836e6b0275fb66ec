//! What auditors attest of the package that a receipt is of.

use std::path::PathBuf;

use clap::Args;
use proofmark_recipient::Attesters;
use proofmark_types::attestation::MAX_ATTESTATION_BYTES;

use crate::command::bytes32;
use crate::failure::Failure;
use crate::files::read_bounded;

/// Whose word on the package is taken.
#[derive(Debug, Clone, Default, Args)]
pub struct AttestationArgs {
    /// Attestation of the package's audit; may be repeated. Each must hold, and be by a given
    /// auditor
    #[arg(long, value_name = "FILE", requires = "auditor_key")]
    pub attestation: Vec<PathBuf>,
    /// Public key of an auditor whom you trust, 0x and 64 hex digits; may be repeated. Each must
    /// have attested the package
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    pub auditor_key: Vec<[u8; 32]>,
}

impl AttestationArgs {
    /// Reads the attestations.
    ///
    /// # Errors
    /// [`Failure`], exit 3, when a file cannot be read.
    pub fn read(&self) -> Result<Attesters, Failure> {
        let attestations = self
            .attestation
            .iter()
            .map(|path| read_bounded(path, MAX_ATTESTATION_BYTES))
            .collect::<Result<_, _>>()?;
        Ok(Attesters {
            attestations,
            auditors: self.auditor_key.clone(),
        })
    }
}
