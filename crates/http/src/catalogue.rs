//! Models by name and version.

use std::collections::BTreeMap;
use std::sync::Arc;

use proofmark_types::Manifest;

use crate::problem::{Problem, echo};

/// Something that is served under the name and version of a manifest.
pub trait Named {
    /// The manifest.
    fn manifest(&self) -> &Manifest;
}

/// Models by name and version. Of several versions of a name the last one given answers requests
/// that name none.
#[derive(Debug)]
pub struct Catalogue<M> {
    models: BTreeMap<String, Vec<Arc<M>>>,
    list: &'static str,
}

impl<M: Named> Catalogue<M> {
    /// An empty one; `list` is the path that lists the models, for those who ask for another.
    pub const fn new(list: &'static str) -> Self {
        Self {
            models: BTreeMap::new(),
            list,
        }
    }

    /// Adds a model.
    ///
    /// # Errors
    /// The model, when one of its name and version is there already.
    pub fn add(&mut self, model: M) -> Result<(), M> {
        let Manifest { name, version, .. } = model.manifest();
        let versions = self.models.entry(name.clone()).or_default();
        if versions.iter().any(|m| m.manifest().version == *version) {
            return Err(model);
        }
        versions.push(Arc::new(model));
        Ok(())
    }

    /// All versions of all models, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<M>> {
        self.models.values().flatten()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The versions of a model, in the order given.
    ///
    /// # Errors
    /// `model-unknown`.
    pub fn versions(&self, name: &str) -> Result<&[Arc<M>], Problem> {
        self.models.get(name).map(Vec::as_slice).ok_or_else(|| {
            Problem::client(
                "model-unknown",
                format!(
                    "no model {} is served; GET {} lists all of them",
                    echo(name),
                    self.list
                ),
            )
        })
    }

    /// A model of this name, and of this version when one is named.
    ///
    /// # Errors
    /// `model-unknown`, `version-unknown`.
    pub fn find(&self, name: &str, version: Option<&str>) -> Result<&Arc<M>, Problem> {
        let versions = self.versions(name)?;
        let found = match version {
            None => versions.last(),
            Some(version) => versions.iter().find(|m| m.manifest().version == version),
        };
        found.ok_or_else(|| {
            let known: Vec<_> = versions
                .iter()
                .map(|m| m.manifest().version.as_str())
                .collect();
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
}
