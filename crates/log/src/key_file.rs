//! Ed25519 keys in files that only their owner can read: the log's, a witness's.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::error::LogError;
use crate::files::{parent, sync_folder};

/// Loads the key in this file (32 raw bytes, the seed); makes one where there is none. The file
/// appears whole and durable or not at all, and never replaces another.
///
/// # Errors
/// [`LogError::Key`] when others may read the file, it has another length, or cannot be read or
/// written.
pub fn load_or_create_key(path: &Path) -> Result<SigningKey, LogError> {
    if let Some(key) = load_key(path)? {
        return Ok(key);
    }
    create(path)?;
    load_key(path)?.ok_or_else(|| refuse(path, "it vanished"))
}

/// Loads the key in this file, if there is one.
pub(crate) fn load_key(path: &Path) -> Result<Option<SigningKey>, LogError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(path, error.to_string())),
    };
    check_permissions(path)?;
    let seed = <&[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| refuse(path, format!("{} bytes instead of 32", bytes.len())))?;
    Ok(Some(SigningKey::from_bytes(seed)))
}

fn create(path: &Path) -> Result<(), LogError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| refuse(path, error.to_string()))?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = Path::new(&temporary);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let write = || -> std::io::Result<()> {
        let mut file: File = options.open(temporary)?;
        file.write_all(seed.as_ref())?;
        file.sync_all()?;
        // A link, unlike a rename, replaces nothing.
        match fs::hard_link(temporary, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::remove_file(temporary)?;
        sync_folder(parent(path))
    };
    write().map_err(|error| {
        // Half a key is no key, and the next attempt has another name.
        drop(fs::remove_file(temporary));
        refuse(path, format!("{error}; check disk space and permissions"))
    })
}

#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), LogError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(|error| refuse(path, error.to_string()))?
        .permissions()
        .mode();
    if mode.trailing_zeros() >= 6 {
        Ok(())
    } else {
        Err(refuse(
            path,
            format!(
                "others may read it (mode {:o}); run chmod 600 on it",
                mode & 0o777
            ),
        ))
    }
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path) -> Result<(), LogError> {
    Ok(())
}

fn refuse(path: &Path, reason: impl Into<String>) -> LogError {
    LogError::Key {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = load_or_create_key(&path).unwrap();
        assert_eq!(
            load_or_create_key(&path).unwrap().to_bytes(),
            first.to_bytes()
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert_eq!(load_or_create_key(&path).unwrap_err().code(), "log-key");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(&path, [0; 31]).unwrap();
        assert_eq!(load_or_create_key(&path).unwrap_err().code(), "log-key");
        assert_eq!(fs::read(&path).unwrap().len(), 31, "never replaced");
    }
}
