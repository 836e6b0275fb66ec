//! What can go wrong between a model's bytes and its outputs.

use std::path::PathBuf;

use proofmark_types::{Digest, TensorError};

use crate::library::ORT_VERSION;

/// An error's cause, in the words of ONNX Runtime or of the operating system.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Errors of this crate. Each has a stable [`code`](Self::code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No shared library is where it is looked for.
    #[error(
        "no ONNX Runtime {ORT_VERSION} library at {path}: run `cargo xtask fetch-runtime`, or set \
         ORT_DYLIB_PATH to the library's path", path = .path.display()
    )]
    LibraryMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The variable names no file.
    #[error(
        "ORT_DYLIB_PATH is set to {path}, which is no file: correct it, or unset it and run \
         `cargo xtask fetch-runtime`", path = .path.display()
    )]
    OverrideMissing {
        /// The variable's value.
        path: PathBuf,
    },
    /// No library is pinned for this operating system and processor.
    #[error(
        "no ONNX Runtime library is pinned for {platform}: install ONNX Runtime {ORT_VERSION} and \
         set ORT_DYLIB_PATH to its shared library"
    )]
    PlatformUnsupported {
        /// Operating system and processor, as Rust names them.
        platform: String,
    },
    /// None of the variables that say where the cache lies is set.
    #[error("no place for the cache is known: set PROOFMARK_CACHE_DIR, XDG_CACHE_HOME or HOME")]
    CacheUnknown,
    /// The library could not be read.
    #[error("cannot read the ONNX Runtime library at {path}", path = .path.display())]
    LibraryUnreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The library in the cache is not the pinned one.
    #[error(
        "the ONNX Runtime library at {path} has digest {found}, pinned is {expected}: run \
         `cargo xtask fetch-runtime` to replace it", path = .path.display()
    )]
    LibraryDigest {
        /// Its path.
        path: PathBuf,
        /// The pinned digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
    /// The operating system or the bindings refused the library.
    #[error("cannot load the ONNX Runtime library at {path}", path = .path.display())]
    LibraryLoad {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// The library is of another release.
    #[error(
        "the library at {path} is not the release build of ONNX Runtime {ORT_VERSION} (it reports \
         {found:?}): point ORT_DYLIB_PATH to that release, or unset it and run \
         `cargo xtask fetch-runtime`", path = .path.display()
    )]
    Version {
        /// Its path.
        path: PathBuf,
        /// What the library says of itself.
        found: String,
    },
    /// ONNX Runtime could not be configured.
    #[error("ONNX Runtime refused its configuration")]
    Configuration {
        /// Why.
        source: Cause,
    },
    /// ONNX Runtime refused the model.
    #[error("ONNX Runtime refused the model")]
    Model {
        /// Why.
        source: Cause,
    },
    /// An input or output of the model has a type that this kind of session does not serve.
    #[error("{end} {name:?} of the model is {found}; this session serves {served} only")]
    ModelType {
        /// `"input"` or `"output"`.
        end: &'static str,
        /// Its name.
        name: String,
        /// Its type as ONNX names it.
        found: String,
        /// The types that are served.
        served: &'static str,
    },
    /// An input was not given.
    #[error("input {name:?} is missing (the model's inputs are {known:?})")]
    InputMissing {
        /// Its name.
        name: String,
        /// All inputs of the model.
        known: Vec<String>,
    },
    /// An input was given that the model does not have.
    #[error("the model has no input {name:?} (its inputs are {known:?})")]
    InputUnknown {
        /// The given name.
        name: String,
        /// All inputs of the model.
        known: Vec<String>,
    },
    /// An input has another element type.
    #[error("input {name:?} must be {expected}, got {found}")]
    InputType {
        /// Its name.
        name: String,
        /// The model's type.
        expected: String,
        /// The given type.
        found: String,
    },
    /// An input has another shape.
    #[error("input {name:?} must have shape {expected}, got {found:?}")]
    InputShape {
        /// Its name.
        name: String,
        /// The model's dimensions, `?` for a free one.
        expected: String,
        /// The given dimensions.
        found: Vec<usize>,
    },
    /// A float tensor's length is not the product of its dimensions.
    #[error("input {name:?} is inconsistent")]
    InputLength {
        /// Its name.
        name: String,
        /// How.
        source: TensorError,
    },
    /// ONNX Runtime failed while running the model.
    #[error("ONNX Runtime failed to run the model")]
    Run {
        /// Why.
        source: Cause,
    },
    /// ONNX Runtime returned something that is not the promised output.
    #[error("output {name:?} is not what the model promises: {reason}")]
    Output {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl RuntimeError {
    /// Stable kebab-case code, the same in command line, service, metrics and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LibraryMissing { .. } | Self::OverrideMissing { .. } => "runtime-library-missing",
            Self::PlatformUnsupported { .. } => "runtime-platform-unsupported",
            Self::CacheUnknown => "runtime-cache-unknown",
            Self::LibraryUnreadable { .. } => "runtime-library-unreadable",
            Self::LibraryDigest { .. } => "runtime-library-digest",
            Self::LibraryLoad { .. } => "runtime-library-load",
            Self::Version { .. } => "runtime-version",
            Self::Configuration { .. } => "runtime-configuration",
            Self::Model { .. } => "model-refused",
            Self::ModelType { .. } => "model-type",
            Self::InputMissing { .. } => "input-missing",
            Self::InputUnknown { .. } => "input-unknown",
            Self::InputType { .. } => "input-type",
            Self::InputShape { .. } => "input-shape",
            Self::InputLength { .. } => "input-length",
            Self::Run { .. } => "runtime-run",
            Self::Output { .. } => "runtime-output",
        }
    }
}
