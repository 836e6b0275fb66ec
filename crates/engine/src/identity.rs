//! The service's Ed25519 key: made at first start in the data folder, readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use proofmark_types::Digest;
use proofmark_types::receipt::key_id;
use zeroize::Zeroizing;

use crate::error::EngineError;

/// File name of the key: 32 raw bytes, the Ed25519 seed.
const KEY_FILE: &str = "service_key";

/// The key that signs receipts. Wiped on drop.
pub struct ServiceKey {
    key: SigningKey,
    path: PathBuf,
}

impl ServiceKey {
    /// Loads the key from the data folder; makes it there when there is none.
    ///
    /// # Errors
    /// [`EngineError::ServiceKey`] when the file is readable by others, has another length, or
    /// cannot be read or written.
    pub fn load_or_create(data: &Path) -> Result<Self, EngineError> {
        let path = data.join(KEY_FILE);
        let refuse = |reason: String| EngineError::ServiceKey {
            path: path.clone(),
            reason,
        };
        fs::create_dir_all(data).map_err(|error| refuse(error.to_string()))?;
        let seed = match fs::read(&path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                check_permissions(&path).map_err(refuse)?;
                let seed: [u8; 32] = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| refuse(format!("{} bytes instead of 32", bytes.len())))?;
                Zeroizing::new(seed)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut seed = Zeroizing::new([0_u8; 32]);
                getrandom::fill(seed.as_mut()).map_err(|error| refuse(error.to_string()))?;
                let mut options = OpenOptions::new();
                // `create_new`: two services starting at once do not overwrite each other's key.
                options.write(true).create_new(true);
                #[cfg(unix)]
                {
                    use std::os::unix::fs::OpenOptionsExt as _;
                    options.mode(0o600);
                }
                let mut file = options
                    .open(&path)
                    .map_err(|error| refuse(error.to_string()))?;
                file.write_all(seed.as_ref())
                    .and_then(|()| file.sync_all())
                    .map_err(|error| refuse(error.to_string()))?;
                seed
            }
            Err(error) => return Err(refuse(error.to_string())),
        };
        Ok(Self {
            key: SigningKey::from_bytes(&seed),
            path,
        })
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

#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(|error| error.to_string())?
        .permissions()
        .mode();
    if mode.trailing_zeros() >= 6 {
        Ok(())
    } else {
        Err(format!(
            "others may read it (mode {:o}); run chmod 600 on it",
            mode & 0o777
        ))
    }
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path) -> Result<(), String> {
    Ok(())
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
    fn a_truncated_key_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let key = ServiceKey::load_or_create(data.path()).unwrap();
        let path = key.path().to_owned();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..31]).unwrap();
        assert!(ServiceKey::load_or_create(data.path()).is_err());
    }
}
