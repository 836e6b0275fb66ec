//! The models that are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use proofmark_types::Digest;
use proofmark_types::attestation::SignedAttestation;
use proofmark_types::manifest::{Manifest, Sealed};
use proofmark_verifier::{Pins, TrustedPackage, check_attestation};

use crate::ServerError;
use crate::backend::ProvingBackend;
use crate::problem::{Problem, echo};
use crate::recent::Recent;

/// One served package.
pub(crate) struct Served {
    /// Its class in the queue.
    pub(crate) class: usize,
    pub(crate) backend: Arc<dyn ProvingBackend>,
    pub(crate) package: Digest,
    pub(crate) sealed: Sealed,
    /// The package as a stranger would trust it, to verify receipts with.
    pub(crate) trusted: TrustedPackage,
    /// What auditors attest of it, in the order of their files' names. Whether the auditors are to
    /// be trusted is for those who read it.
    pub(crate) attestations: Vec<SignedAttestation>,
    /// How long the latest proofs took.
    pub(crate) recent: Recent,
}

impl Served {
    pub(crate) fn manifest(&self) -> &Manifest {
        self.backend.manifest()
    }

    pub(crate) fn name(&self) -> &str {
        &self.manifest().name
    }

    pub(crate) fn version(&self) -> &str {
        &self.manifest().version
    }
}

/// The attestations of a package, each of which must be one of it.
fn attestations(
    backend: &dyn ProvingBackend,
    package: Digest,
) -> Result<Vec<SignedAttestation>, ServerError> {
    let manifest = backend.manifest();
    let files = backend.attestations().iter();
    files
        .map(|(file, bytes)| {
            check_attestation(bytes, package, manifest).map_err(|source| ServerError::Attestation {
                name: manifest.name.clone(),
                file: file.clone(),
                source: Box::new(source),
            })
        })
        .collect()
}

/// All served packages, by name and version. Of several versions of a name the last one given
/// answers requests that name none.
pub(crate) struct Registry {
    models: BTreeMap<String, Vec<Arc<Served>>>,
    classes: usize,
}

impl Registry {
    pub(crate) fn new(backends: Vec<Arc<dyn ProvingBackend>>) -> Result<Self, ServerError> {
        let classes = backends.len();
        let mut models: BTreeMap<String, Vec<Arc<Served>>> = BTreeMap::new();
        for (class, backend) in backends.into_iter().enumerate() {
            let manifest = backend.manifest();
            let name = manifest.name.clone();
            let version = manifest.version.clone();
            let Some(sealed) = manifest.sealed.clone() else {
                return Err(ServerError::NotSealed { name });
            };
            let package = backend.package_digest();
            let trusted = TrustedPackage::open(
                &Pins::package(package),
                backend.manifest_bytes(),
                backend.verifying_key_bytes(),
            )
            .map_err(|source| ServerError::Package {
                name: name.clone(),
                source: Box::new(source),
            })?;
            let attestations = attestations(backend.as_ref(), package)?;
            let versions = models.entry(name.clone()).or_default();
            if versions.iter().any(|m| m.version() == version) {
                return Err(ServerError::DuplicateModel { name, version });
            }
            versions.push(Arc::new(Served {
                class,
                backend,
                package,
                sealed,
                trusted,
                attestations,
                recent: Recent::default(),
            }));
        }
        Ok(Self { models, classes })
    }

    /// Number of classes in the queue.
    pub(crate) const fn classes(&self) -> usize {
        self.classes
    }

    /// All versions of all models.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.models.values().flatten()
    }

    /// The versions of a model, in the order given.
    pub(crate) fn versions(&self, name: &str) -> Result<&[Arc<Served>], Problem> {
        self.models.get(name).map(Vec::as_slice).ok_or_else(|| {
            Problem::client(
                "model-unknown",
                format!(
                    "no model {} is served; GET /v1/models lists all of them",
                    echo(name)
                ),
            )
        })
    }

    /// A model of this name, and of this version when one is named.
    pub(crate) fn find(&self, name: &str, version: Option<&str>) -> Result<&Arc<Served>, Problem> {
        let versions = self.versions(name)?;
        let found = match version {
            None => versions.last(),
            Some(version) => versions.iter().find(|m| m.version() == version),
        };
        found.ok_or_else(|| {
            let known: Vec<_> = versions.iter().map(|m| m.version()).collect();
            Problem::client(
                "version-unknown",
                format!(
                    "model {name:?} is not served in version {}; served: {}",
                    echo(version.unwrap_or_default()),
                    known.join(", ")
                ),
            )
        })
    }

    /// The package with this digest.
    pub(crate) fn package(&self, digest: &Digest) -> Option<&Arc<Served>> {
        self.iter().find(|m| m.package == *digest)
    }
}
