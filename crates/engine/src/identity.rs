//! The service's Ed25519 key: made at first start in the data folder, readable by its owner only.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use proofmark_log::{LogError, load_or_create_key};
use proofmark_types::Digest;
use proofmark_types::receipt::key_id;

use crate::error::EngineError;

/// File name of the key: 32 raw bytes, the Ed25519 seed.
const KEY_FILE: &str = "service_key";
/// File name of the key that a rotation announces, until it takes the other's place.
const NEXT_KEY_FILE: &str = "service_key.next";

/// The key that signs receipts. Wiped on drop.
pub struct ServiceKey {
    key: SigningKey,
    path: PathBuf,
}

impl ServiceKey {
    /// Loads the key from the data folder; makes it there when there is none, whole and durable or
    /// not at all.
    ///
    /// # Errors
    /// [`EngineError::ServiceKey`] when the file is readable by others, has another length, or
    /// cannot be read or written.
    pub fn load_or_create(data: &Path) -> Result<Self, EngineError> {
        Self::of_file(data, KEY_FILE)
    }

    /// The key that is to follow this folder's: made when there is none yet.
    ///
    /// # Errors
    /// As [`load_or_create`](Self::load_or_create).
    pub fn load_or_create_next(data: &Path) -> Result<Self, EngineError> {
        Self::of_file(data, NEXT_KEY_FILE)
    }

    /// The key that is to follow this folder's, if one was made.
    ///
    /// # Errors
    /// As [`load_or_create`](Self::load_or_create).
    pub fn next(data: &Path) -> Result<Option<Self>, EngineError> {
        if data.join(NEXT_KEY_FILE).exists() {
            Self::load_or_create_next(data).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Puts the key that follows in this folder's key's place, durably. The old one is gone then.
    ///
    /// # Errors
    /// [`EngineError::ServiceKey`] when the folder cannot be written.
    pub fn take_over(data: &Path) -> Result<(), EngineError> {
        let (next, path) = (data.join(NEXT_KEY_FILE), data.join(KEY_FILE));
        fs::rename(next, &path)
            .and_then(|()| File::open(data)?.sync_all())
            .map_err(|error| EngineError::ServiceKey {
                path,
                reason: error.to_string(),
            })
    }

    fn of_file(data: &Path, name: &str) -> Result<Self, EngineError> {
        let path = data.join(name);
        let refuse = |reason: String| EngineError::ServiceKey {
            path: path.clone(),
            reason,
        };
        fs::create_dir_all(data)
            .map_err(|error| refuse(format!("{error}; check disk space and permissions")))?;
        let key = load_or_create_key(&path).map_err(|error| match error {
            LogError::Key { reason, .. } => refuse(reason),
            error => refuse(error.to_string()),
        })?;
        Ok(Self { key, path })
    }

    /// The signing key.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// The public key, 32 bytes.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The key's id, as receipts name it.
    pub fn id(&self) -> Digest {
        key_id(&self.public())
    }

    /// Where the key lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_stays() {
        let data = tempfile::tempdir().unwrap();
        let first = ServiceKey::load_or_create(data.path()).unwrap();
        let second = ServiceKey::load_or_create(data.path()).unwrap();
        assert_eq!(first.public(), second.public());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(
            ServiceKey::load_or_create(other.path()).unwrap().id(),
            first.id()
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        let key = ServiceKey::load_or_create(data.path()).unwrap();
        assert_eq!(
            fs::metadata(key.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(key.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let error = ServiceKey::load_or_create(data.path()).err().unwrap();
        assert_eq!(error.code(), "service-key");
    }

    #[test]
    fn the_next_key_waits_until_it_takes_over() {
        let data = tempfile::tempdir().unwrap();
        let first = ServiceKey::load_or_create(data.path()).unwrap();
        assert!(ServiceKey::next(data.path()).unwrap().is_none());
        let next = ServiceKey::load_or_create_next(data.path()).unwrap();
        assert_ne!(next.public(), first.public());
        let again = ServiceKey::next(data.path()).unwrap().unwrap();
        assert_eq!(again.public(), next.public());
        let still = ServiceKey::load_or_create(data.path()).unwrap();
        assert_eq!(still.public(), first.public());
        ServiceKey::take_over(data.path()).unwrap();
        let now = ServiceKey::load_or_create(data.path()).unwrap();
        assert_eq!(now.public(), next.public());
        assert!(ServiceKey::next(data.path()).unwrap().is_none());
        assert!(ServiceKey::take_over(data.path()).is_err());
    }

    #[test]
    fn a_truncated_key_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let key = ServiceKey::load_or_create(data.path()).unwrap();
        let path = key.path().to_owned();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..31]).unwrap();
        assert!(ServiceKey::load_or_create(data.path()).is_err());
    }
}
