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

#[cfg(test)]
mod tests {
    use std::fs;

    use prost::Message;
    use tempfile::TempDir;

    use super::*;
    use crate::{Limits, Model, load, proto};

    /// A folder `model/` with `m.onnx` whose one float[2] initializer is described by `entries`,
    /// and `data/w.bin` of three floats; beside it `outside.bin`.
    struct Place {
        dir: TempDir,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("model/data")).unwrap();
            let floats: Vec<u8> = [1_f32, 2.0, 3.0]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect();
            fs::write(dir.path().join("model/data/w.bin"), &floats).unwrap();
            fs::write(dir.path().join("outside.bin"), &floats).unwrap();
            Self { dir }
        }

        fn load(&self, entries: &[(&str, &str)]) -> Result<Model, OnnxError> {
            let external_data = entries
                .iter()
                .map(|&(key, value)| StringStringEntryProto {
                    key: Some(key.to_owned()),
                    value: Some(value.to_owned()),
                })
                .collect();
            let model = proto::ModelProto {
                ir_version: Some(10),
                opset_import: vec![proto::OperatorSetIdProto {
                    domain: None,
                    version: Some(21),
                }],
                graph: Some(proto::GraphProto {
                    initializer: vec![proto::TensorProto {
                        name: Some("w".to_owned()),
                        data_type: Some(1),
                        dims: vec![2],
                        data_location: Some(1),
                        external_data,
                        ..proto::TensorProto::default()
                    }],
                    ..proto::GraphProto::default()
                }),
                ..proto::ModelProto::default()
            };
            let path = self.dir.path().join("model/m.onnx");
            fs::write(&path, model.encode_to_vec()).unwrap();
            load(&path, &Limits::default())
        }

        fn code(&self, entries: &[(&str, &str)]) -> &'static str {
            self.load(entries).unwrap_err().code()
        }
    }

    #[test]
    fn contents_are_read_at_their_offset() {
        let place = Place::new();
        for (entries, expected) in [
            (&[("location", "data/w.bin")][..], [1.0, 2.0]),
            (
                &[
                    ("location", "./data/w.bin"),
                    ("offset", "4"),
                    ("length", "8"),
                ],
                [2.0, 3.0],
            ),
            (
                &[("location", "data/w.bin"), ("checksum", "da39a3ee")],
                [1.0, 2.0],
            ),
        ] {
            let model = place.load(entries).unwrap();
            assert_eq!(model.graph.initializers["w"].floats(), Some(&expected[..]));
        }
    }

    #[test]
    fn nothing_outside_of_the_folder_is_read() {
        let place = Place::new();
        let absolute = place.dir.path().join("model/data/w.bin");
        for location in [
            "",
            "../outside.bin",
            "data/../../outside.bin",
            "data/../data/w.bin",
            "/etc/passwd",
            absolute.to_str().unwrap(),
        ] {
            assert_eq!(
                place.code(&[("location", location)]),
                "onnx-external-data-path",
                "{location}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_lead_nowhere_else() {
        use std::os::unix::fs::symlink;
        let place = Place::new();
        let model = place.dir.path().join("model");
        symlink("../outside.bin", model.join("link.bin")).unwrap();
        symlink("..", model.join("up")).unwrap();
        symlink("data/w.bin", model.join("inside.bin")).unwrap();
        assert_eq!(
            place.code(&[("location", "link.bin")]),
            "onnx-external-data-path"
        );
        assert_eq!(
            place.code(&[("location", "up/outside.bin")]),
            "onnx-external-data-path"
        );
        assert!(place.load(&[("location", "inside.bin")]).is_ok());
        // a sibling whose name begins like the folder's is not inside of it
        fs::create_dir(place.dir.path().join("model2")).unwrap();
        fs::copy(
            model.join("data/w.bin"),
            place.dir.path().join("model2/w.bin"),
        )
        .unwrap();
        symlink("../model2", model.join("near")).unwrap();
        assert_eq!(
            place.code(&[("location", "near/w.bin")]),
            "onnx-external-data-path"
        );
    }

    #[test]
    fn offset_and_length_fit_tensor_and_file() {
        let place = Place::new();
        let at = |entries: &[(&str, &str)]| {
            let mut all = vec![("location", "data/w.bin")];
            all.extend_from_slice(entries);
            place.code(&all)
        };
        for wrong in [
            &[("offset", "5")][..],
            &[("offset", "18446744073709551615")],
            &[("offset", "18446744073709551616")],
            &[("offset", "-4")],
            &[("offset", "+4")],
            &[("offset", "")],
            &[("length", "12")],
            &[("length", "7")],
            &[("length", "4"), ("length", "8")],
            &[("location", "data/w.bin")],
            &[("basepath", "/etc")],
        ] {
            assert_eq!(at(wrong), "onnx-external-data-range", "{wrong:?}");
        }
        assert_eq!(place.code(&[]), "onnx-external-data-range");
        assert_eq!(place.code(&[("location", "data/none.bin")]), "onnx-io");
        assert_eq!(place.code(&[("location", "data")]), "onnx-not-a-file");
    }

    #[test]
    fn a_model_is_a_regular_file() {
        let place = Place::new();
        assert_eq!(
            load(place.dir.path(), &Limits::default())
                .unwrap_err()
                .code(),
            "onnx-not-a-file"
        );
        let none = place.dir.path().join("none.onnx");
        assert_eq!(
            load(&none, &Limits::default()).unwrap_err().code(),
            "onnx-io"
        );
        let data = place.dir.path().join("outside.bin");
        let tight = Limits {
            max_file_bytes: 11,
            ..Limits::default()
        };
        assert_eq!(
            load(&data, &tight).unwrap_err().code(),
            "onnx-limit-exceeded"
        );
    }
}
