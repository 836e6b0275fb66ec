//! The `Idempotency-Key` header: the same key and the same request give the same answer, once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use proofmark_store::Store;
use proofmark_types::Digest;

use crate::error::store_problem;
use crate::problem::Problem;

/// Name of the header.
pub(crate) const HEADER: &str = "idempotency-key";
const MAX_LENGTH: usize = 255;

/// The keys that are being worked on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<BTreeSet<String>>>);

/// A key that this request alone works on while the claim lives.
#[derive(Debug)]
pub(crate) struct Claim {
    keys: Keys,
    key: String,
    request_digest: Digest,
}

impl Claim {
    /// The key, scoped to the package.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Digest of path and body.
    pub(crate) const fn request_digest(&self) -> Digest {
        self.request_digest
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}

/// The key of a request, when it has one.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_LENGTH).contains(&key.len()) && values.next().is_none());
    key.map(Some).ok_or_else(|| {
        Problem::client(
            "idempotency-key-invalid",
            "Idempotency-Key is given once and is 1 to 255 visible ASCII characters",
        )
    })
}

/// What to do with a request that has a key.
#[derive(Debug)]
pub(crate) enum Known {
    /// Work on it; nobody else does.
    New(Claim),
    /// It was answered with these bytes.
    Answered(Vec<u8>),
}

impl Keys {
    /// Looks a key up and claims it when it is new.
    pub(crate) async fn claim(
        &self,
        store: &Store,
        package: &Digest,
        key: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Known, Problem> {
        let request_digest = Digest::of(&[path.as_bytes(), b"\0", body].concat());
        let key = format!("{package}/{key}");
        // Claimed before the look: two requests cannot both find nothing.
        let claim = self.take(key, request_digest)?;
        let answer = store
            .answer(&claim.key)
            .await
            .map_err(|e| store_problem(&e))?;
        match answer {
            None => Ok(Known::New(claim)),
            Some(answer) if answer.request_digest == request_digest => {
                Ok(Known::Answered(answer.answer))
            }
            Some(_) => Err(Problem::client(
                "idempotency-key-reused",
                "this Idempotency-Key was used for another request; choose a new key",
            )),
        }
    }

    fn take(&self, key: String, request_digest: Digest) -> Result<Claim, Problem> {
        let new = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        if !new {
            return Err(Problem::client(
                "idempotency-key-in-use",
                "a request with this Idempotency-Key is being worked on; ask again for its answer",
            )
            .retry_after(1));
        }
        Ok(Claim {
            keys: self.clone(),
            key,
            request_digest,
        })
    }
}
