//! Tensor contents in files beside the model, as the standard's external data has them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::error::OnnxError;
use crate::proto::StringStringEntryProto;

/// The model's folder, the only place that contents are read from.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Canonical: absolute and without symbolic links.
    root: PathBuf,
}

/// What a tensor says about where its contents are.
struct Place<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl Folder {
    /// The folder that holds the model file.
    ///
    /// # Errors
    /// [`OnnxError::Io`] when it cannot be resolved.
    pub(crate) fn of(model: &Path) -> Result<Self, OnnxError> {
        let folder = match model.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        match folder.canonicalize() {
            Ok(root) => Ok(Self { root }),
            Err(source) => Err(OnnxError::Io {
                path: folder.to_owned(),
                source,
            }),
        }
    }

    /// Reads the `bytes` bytes of a tensor. The caller has checked `bytes` against the limits. A
    /// `checksum` (SHA-1, optional in the standard) is not looked at: what is kept of the model
    /// is digested anew.
    ///
    /// # Errors
    /// [`OnnxError::ExternalDataPath`], [`OnnxError::ExternalDataRange`], [`OnnxError::NotAFile`],
    /// [`OnnxError::Io`].
    pub(crate) fn read(
        &self,
        tensor: &str,
        entries: &[StringStringEntryProto],
        bytes: usize,
    ) -> Result<Vec<u8>, OnnxError> {
        let range = |reason| OnnxError::ExternalDataRange {
            tensor: tensor.to_owned(),
            reason,
        };
        let place = place(tensor, entries)?;
        let claimed = bytes as u64;
        if place.length.is_some_and(|length| length != claimed) {
            let length = place.length.unwrap_or_default();
            return Err(range(format!(
                "shape and type take {claimed} bytes, length says {length}"
            )));
        }
        let path = self.resolve(tensor, place.location)?;
        let io = |source| OnnxError::Io {
            path: path.clone(),
            source,
        };
        // opening a pipe would wait for its other end, so look before
        if !path.metadata().map_err(io)?.is_file() {
            return Err(OnnxError::NotAFile { path });
        }
        let mut file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if place
            .offset
            .checked_add(claimed)
            .is_none_or(|end| end > size)
        {
            let offset = place.offset;
            return Err(range(format!(
                "{claimed} bytes at offset {offset} of {:?}, which has {size}",
                place.location
            )));
        }
        file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        let mut contents = vec![0; bytes];
        file.read_exact(&mut contents).map_err(io)?;
        Ok(contents)
    }

    /// The canonical path of a location, which is inside of the folder even after all symbolic
    /// links.
    fn resolve(&self, tensor: &str, location: &str) -> Result<PathBuf, OnnxError> {
        let refuse = |reason| OnnxError::ExternalDataPath {
            tensor: tensor.to_owned(),
            location: location.to_owned(),
            reason,
        };
        if location.is_empty() {
            return Err(refuse("it is empty"));
        }
        for component in Path::new(location).components() {
            match component {
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return Err(refuse("it contains '..'")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(refuse("it is absolute"));
                }
            }
        }
        let joined = self.root.join(location);
        match joined.canonicalize() {
            Ok(path) if path.starts_with(&self.root) => Ok(path),
            Ok(_) => Err(refuse("a symbolic link leads out of the folder")),
            Err(source) => Err(OnnxError::Io {
                path: joined,
                source,
            }),
        }
    }
}

fn place<'a>(tensor: &str, entries: &'a [StringStringEntryProto]) -> Result<Place<'a>, OnnxError> {
    let range = |reason| OnnxError::ExternalDataRange {
        tensor: tensor.to_owned(),
        reason,
    };
    let (mut location, mut offset, mut length, mut checksum) = (None, None, None, None);
    for entry in entries {
        let slot = match entry.key() {
            "location" => &mut location,
            "offset" => &mut offset,
            "length" => &mut length,
            "checksum" => &mut checksum,
            other => return Err(range(format!("unknown key {other:?}"))),
        };
        if slot.replace(entry.value()).is_some() {
            return Err(range(format!("key {:?} is there twice", entry.key())));
        }
    }
    let number = |key: &str, text: Option<&str>| match text {
        None => Ok(None),
        // `parse` would take a leading plus sign
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text
            .parse()
            .map(Some)
            .map_err(|_| range(format!("{key} {text:?} is not a number of 64 bits"))),
        Some(text) => Err(range(format!("{key} {text:?} is not a number of 64 bits"))),
    };
    Ok(Place {
        location: location.ok_or_else(|| range("no location".to_owned()))?,
        offset: number("offset", offset)?.unwrap_or(0),
        length: number("length", length)?,
    })
}
