//! Reading what others wrote, with a bound.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::failure::Failure;

/// Largest verifying key that is read, in bytes.
pub const MAX_KEY_BYTES: usize = 64 << 20;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// `file-unreadable` and `file-too-large`.
pub fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let refuse = |error: std::io::Error| {
        let message = format!("cannot read {}", path.display());
        let mut failure = Failure::environment("file-unreadable", message);
        failure.causes.push(error.to_string());
        failure
    };
    let file = File::open(path).map_err(refuse)?;
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(refuse)?;
    if bytes.len() > limit {
        let message = format!("{} is larger than {limit} bytes", path.display());
        return Err(Failure::environment("file-too-large", message)
            .hint("it is not what it is given as; check the path"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, [1; 5]).unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), [1; 5]);
        assert_eq!(read_bounded(&path, 4).unwrap_err().code, "file-too-large");
        let missing = read_bounded(&folder.path().join("g"), 4).unwrap_err();
        assert_eq!(missing.code, "file-unreadable");
        assert_eq!(missing.exit.code(), 3);
        assert_eq!(missing.causes.len(), 1);
    }
}
