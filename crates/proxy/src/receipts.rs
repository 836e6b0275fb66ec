//! Receipts that are kept before their answers leave.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use proofmark_package::{PackageError, write_atomic};
use proofmark_types::Digest;

use crate::ProxyError;

/// A folder of receipts: `ID.json`, and `ID.tlog-proof` where a log is pinned.
#[derive(Debug)]
pub(crate) struct Receipts {
    folder: PathBuf,
    /// One at a time: a receipt that came twice has one name.
    writing: Mutex<()>,
}

impl Receipts {
    /// Makes the folder.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, ProxyError> {
        fs::create_dir_all(&folder).map_err(|source| {
            ProxyError::File(PackageError::Io {
                action: "create",
                path: folder.clone(),
                source,
            })
        })?;
        Ok(Self {
            folder,
            writing: Mutex::new(()),
        })
    }

    /// Keeps a verified receipt with the verified proof that it is logged. Both are on the disk when
    /// this returns.
    pub(crate) fn keep(
        &self,
        id: &Digest,
        receipt: &[u8],
        tlog_proof: Option<&str>,
    ) -> Result<(), PackageError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = id.to_hex();
        // The receipt comes last: where it is, its proof is.
        if let Some(proof) = tlog_proof {
            let path = self.folder.join(format!("{name}.tlog-proof"));
            write_atomic(&path, proof.as_bytes())?;
        }
        write_atomic(&self.folder.join(format!("{name}.json")), receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_kept_under_the_receipts_name() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = Receipts::open(folder.path().join("a/b")).unwrap();
        let id = Digest::of(b"x");
        receipts.keep(&id, b"{}", Some("proof")).unwrap();
        let path = |end: &str| folder.path().join(format!("a/b/{}.{end}", id.to_hex()));
        assert_eq!(fs::read(path("json")).unwrap(), b"{}");
        assert_eq!(fs::read(path("tlog-proof")).unwrap(), b"proof");
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert_eq!(
            receipts.keep(&id, b"{}", None).unwrap_err().code(),
            "package-io"
        );
    }
}
