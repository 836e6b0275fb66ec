//! Opening the commitments of a receipt: what its hidden inputs and outputs hold.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_recipient::Opened;
use proofmark_types::receipt::{
    MAX_ENVELOPE_BYTES, MAX_OPENINGS_BYTES, Opening, read_openings as parse,
};

use crate::failure::Failure;
use crate::files::read_bounded;

/// Reads a file of openings, as `proofmark prove` and `infer` write it.
///
/// # Errors
/// `file-unreadable`, `file-too-large`, `openings-malformed`.
pub fn read_openings(path: &Path) -> Result<Vec<Opening>, Failure> {
    let bytes = read_bounded(path, MAX_OPENINGS_BYTES)?;
    parse(&bytes).map_err(|error| {
        let message = format!("{} is not a file of openings", path.display());
        let mut failure = Failure::usage(error.code(), message);
        failure.causes.push(error.to_string());
        failure.hint("give the file that `proofmark prove` or `infer` wrote beside the receipt")
    })
}

/// What opening a receipt takes.
#[derive(Debug, Clone, Args)]
pub struct OpenArgs {
    /// The receipt
    #[arg(long, value_name = "FILE")]
    pub receipt: PathBuf,
    /// Values, and salts of private tensors, as `proofmark prove` and `infer` write them
    #[arg(long, visible_alias = "openings", value_name = "FILE")]
    pub opening: PathBuf,
}

/// Compares openings with the commitments of a receipt, whose form and signature are checked.
/// Whether the model computed anything is for `verify` to say.
///
/// # Errors
/// [`Failure`]: exit 1 for a receipt that is no receipt and for values that are not those behind
/// the commitments, 2 for a file that holds no openings, 3 for a file that cannot be read.
pub fn open(args: &OpenArgs) -> Result<Opened, Failure> {
    let receipt = read_bounded(&args.receipt, MAX_ENVELOPE_BYTES)?;
    let openings = read_openings(&args.opening)?;
    Ok(proofmark_recipient::open(&receipt, openings)?)
}

#[cfg(test)]
mod tests {
    use proofmark_types::receipt::write_openings;
    use proofmark_types::{ElemType, IntTensor};

    use super::*;

    #[test]
    fn a_file_that_is_none_is_named_with_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openings.json");
        let opening = Opening {
            name: "x".to_owned(),
            tensor: IntTensor::new(ElemType::Int8, vec![2], vec![1, -1]).unwrap(),
            salt: None,
        };
        let bytes = write_openings(&[opening]).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_openings(&path).unwrap().len(), 1);
        std::fs::write(&path, &bytes[1..]).unwrap();
        let failure = read_openings(&path).unwrap_err();
        assert_eq!(failure.code, "openings-malformed");
        assert_eq!(failure.exit.code(), 2);
        assert_eq!(failure.causes.len(), 1);
    }
}
