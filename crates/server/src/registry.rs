//! The models that are served.

use std::sync::Arc;

use proofmark_types::Digest;
use proofmark_types::attestation::SignedAttestation;
use proofmark_types::manifest::{Manifest, Sealed};
use proofmark_verifier::{Pins, TrustedPackage, check_attestation};
use tokio::sync::Semaphore;

use crate::ServerError;
use crate::backend::ProvingBackend;
use crate::catalogue::{Catalogue, Named};
use crate::problem::Problem;
use crate::recent::Recent;

/// Files of packages that are sent at the same time.
const MAX_DOWNLOADS: usize = 32;

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

impl Named for Served {
    fn manifest(&self) -> &Manifest {
        self.backend.manifest()
    }
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
    models: Catalogue<Served>,
    classes: usize,
    /// Places for files of packages that are being sent.
    downloads: Arc<Semaphore>,
}

impl Registry {
    pub(crate) fn new(backends: Vec<Arc<dyn ProvingBackend>>) -> Result<Self, ServerError> {
        let classes = backends.len();
        let mut models = Catalogue::new("/v1/models");
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
            let added = models.add(Served {
                class,
                backend,
                package,
                sealed,
                trusted,
                attestations,
                recent: Recent::default(),
            });
            if added.is_err() {
                return Err(ServerError::DuplicateModel { name, version });
            }
        }
        Ok(Self {
            models,
            classes,
            downloads: Arc::new(Semaphore::new(MAX_DOWNLOADS)),
        })
    }

    /// Number of classes in the queue.
    pub(crate) const fn classes(&self) -> usize {
        self.classes
    }

    /// Places for files of packages that are being sent.
    pub(crate) const fn downloads(&self) -> &Arc<Semaphore> {
        &self.downloads
    }

    /// All versions of all models.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.models.iter()
    }

    /// The versions of a model, in the order given.
    pub(crate) fn versions(&self, name: &str) -> Result<&[Arc<Served>], Problem> {
        self.models.versions(name)
    }

    /// A model of this name, and of this version when one is named.
    pub(crate) fn find(&self, name: &str, version: Option<&str>) -> Result<&Arc<Served>, Problem> {
        self.models.find(name, version)
    }

    /// The package with this digest.
    pub(crate) fn package(&self, digest: &Digest) -> Option<&Arc<Served>> {
        self.iter().find(|m| m.package == *digest)
    }
}
