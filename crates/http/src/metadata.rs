//! What a server of the Open Inference Protocol says of itself and of its models.

use proofmark_types::Manifest;
use serde::Serialize;
use utoipa::ToSchema;

use crate::tensors::{TensorMetadata, input_metadata, output_metadata};

/// What this server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerMetadata {
    /// `proofmark`.
    #[schema(example = "proofmark")]
    pub name: &'static str,
    /// Version of the software.
    pub version: &'static str,
    /// `proof/v1`: answers carry `parameters.receipt_id` and a `receipt`.
    pub extensions: [&'static str; 1],
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always true.
    pub live: bool,
}

/// The service takes requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Always true; a service that is not ready answers with a problem.
    pub ready: bool,
}

/// Names of the served models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelNames {
    /// The names, in order.
    pub models: Vec<String>,
}

/// A model in the protocol's words.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// The versions served; the last one answers requests that name none.
    pub versions: Vec<String>,
    /// `onnxruntime_onnx`.
    #[schema(example = "onnxruntime_onnx")]
    pub platform: &'static str,
    /// What it takes.
    pub inputs: Vec<TensorMetadata>,
    /// What it gives, views included.
    pub outputs: Vec<TensorMetadata>,
}

impl ModelMetadata {
    /// What the manifest says of a model that is served in these versions.
    pub fn of(manifest: &Manifest, versions: Vec<String>) -> Self {
        Self {
            name: manifest.name.clone(),
            versions,
            platform: "onnxruntime_onnx",
            inputs: input_metadata(manifest),
            outputs: output_metadata(manifest),
        }
    }
}

/// A model takes requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelReady {
    /// Its name.
    pub name: String,
    /// Always true; a model that is not ready is answered with a problem.
    pub ready: bool,
}
