//! A whole package, for whoever proves on their own machine: only of models whose operator hands it
//! out, because it holds the weights.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use proofmark_types::Digest;
use proofmark_types::manifest::{MANIFEST_FILE, ModelFile};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::ToSchema;

use super::models::{VersionOf, find};
use crate::problem::{Problem, ProblemBody, echo};
use crate::registry::Served;
use crate::service::Shared;

/// Time that a client may take for the next part of a file.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read and sent at a time.
const CHUNK: usize = 64 << 10;
/// Parts of a file that may wait for a slow client.
const BUFFERED: usize = 2;

/// A file of a package.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageFile {
    /// Its name in the package's folder.
    file: String,
    /// SHA-256 of its bytes; the manifest's is the package digest.
    #[schema(value_type = String)]
    digest: Digest,
    /// Its length.
    bytes: u64,
    /// Where it is.
    url: String,
}

/// The files of a package.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageFiles {
    /// Digest of the manifest: what a verifier pins, got from a source it trusts.
    #[schema(value_type = String)]
    package_digest: Digest,
    /// The manifest, and every file that it names.
    files: Vec<PackageFile>,
}

/// Where the files of a model's package are listed; `None` when it is not handed out.
pub(super) fn url(shared: &Shared, model: &Served) -> Option<String> {
    model.backend.shared_folder()?;
    let (name, version) = (model.name(), model.version());
    let base = &shared.config.public_url;
    Some(format!("{base}/v1/models/{name}/package?version={version}"))
}

fn folder(model: &Served) -> Result<PathBuf, Problem> {
    model
        .backend
        .shared_folder()
        .map(std::path::Path::to_owned)
        .ok_or_else(|| {
            Problem::client(
                "package-not-shared",
                format!(
                    "whoever runs this service does not hand out the package of {}: it holds the \
                     model's weights; manifest, verifying key and transcript are served",
                    model.name()
                ),
            )
        })
}

/// The files of a package with their lengths and digests.
///
/// A whole package is what proving on one's own machine takes. It is handed out only where the
/// operator says so.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/package",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, body = PackageFiles),
        (status = FORBIDDEN, description = "`package-not-shared`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn list_package(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    query: VersionOf,
) -> Result<Json<PackageFiles>, Problem> {
    let model = find(&shared, &name, query)?;
    folder(model)?;
    let base = format!("{}/v1/models/{name}/package", shared.config.public_url);
    let entry = |record: &ModelFile| PackageFile {
        file: record.file.clone(),
        digest: record.digest,
        bytes: record.bytes,
        url: format!("{base}/{}?version={}", record.file, model.version()),
    };
    let manifest = manifest_record(model);
    let files = model.manifest().files().into_iter();
    Ok(Json(PackageFiles {
        package_digest: model.package,
        files: std::iter::once(&manifest).chain(files).map(entry).collect(),
    }))
}

fn manifest_record(model: &Served) -> ModelFile {
    ModelFile {
        file: MANIFEST_FILE.to_owned(),
        digest: model.package,
        bytes: model.backend.manifest_bytes().len() as u64,
    }
}

/// A file of a package, byte for byte: its SHA-256 stands in the manifest, and is its `ETag`.
///
/// Ranges of bytes are served, so that an interrupted download goes on where it stopped.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/package/{file}",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("file" = String, Path, description = "A file that the manifest names, or `manifest.json`"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, description = "The file", content_type = "application/octet-stream", body = Vec<u8>),
        (status = PARTIAL_CONTENT, description = "The range that was asked for", content_type = "application/octet-stream", body = Vec<u8>),
        (status = NOT_MODIFIED, description = "The client has it"),
        (status = FORBIDDEN, description = "`package-not-shared`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`, `not-found`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = RANGE_NOT_SATISFIABLE, description = "`range-not-satisfiable`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`downloads-busy`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_package_file(
    State(shared): State<Arc<Shared>>,
    Path((name, file)): Path<(String, String)>,
    headers: HeaderMap,
    query: VersionOf,
) -> Result<Response, Problem> {
    let model = find(&shared, &name, query)?;
    let folder = folder(model)?;
    let manifest = manifest_record(model);
    // What a client writes is compared with names, and never becomes a path.
    let files = model.manifest().files().into_iter();
    let record = std::iter::once(&manifest)
        .chain(files)
        .find(|record| record.file == file)
        .ok_or_else(|| {
            Problem::client(
                "not-found",
                format!(
                    "the package has no file {}; GET /v1/models/{name}/package lists all of them",
                    echo(&file)
                ),
            )
        })?;
    let tag = format!("\"{}\"", record.digest);
    let named = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let is = |name: header::HeaderName| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        value.map(|value| value == tag.as_bytes())
    };
    if is(header::IF_NONE_MATCH) == Some(true) {
        return Ok((StatusCode::NOT_MODIFIED, named).into_response());
    }
    // A range of other bytes than the client has the beginning of is of no use to it.
    let asked = headers
        .get(header::RANGE)
        .filter(|_| is(header::IF_RANGE) != Some(false))
        .and_then(|value| value.to_str().ok())
        .and_then(|value| range(value, record.bytes));
    let (status, part) = match asked {
        None => (StatusCode::OK, 0..record.bytes),
        Some(Ok(part)) => (StatusCode::PARTIAL_CONTENT, part),
        Some(Err(Unsatisfiable)) => {
            return Err(Problem::client(
                "range-not-satisfiable",
                format!("{} has {} bytes", record.file, record.bytes),
            ));
        }
    };
    let place = Arc::clone(shared.registry.downloads())
        .try_acquire_owned()
        .map_err(|_| {
            Problem::client(
                "downloads-busy",
                "as many files are being sent as can be; try again in a while",
            )
            .retry_after(5)
        })?;
    let unreadable = |cause: String| {
        Problem::internal(format!("{}: {cause}", folder.join(&record.file).display()))
    };
    let mut opened = File::open(folder.join(&record.file))
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let length = opened.metadata().await.map(|metadata| metadata.len());
    if length.as_ref().ok() != Some(&record.bytes) {
        return Err(unreadable(format!(
            "its length is {length:?}, the manifest says {}",
            record.bytes
        )));
    }
    opened
        .seek(io::SeekFrom::Start(part.start))
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let count = part.end - part.start;
    let mut response = (
        status,
        named,
        [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, count.to_string()),
        ],
        Body::from_stream(sent(opened, count, place)),
    )
        .into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let last = part.end.saturating_sub(1);
        let text = format!("bytes {}-{last}/{}", part.start, record.bytes);
        let value = HeaderValue::try_from(text).map_err(|e| Problem::internal(e.to_string()))?;
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// A range without a byte of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unsatisfiable;

/// The one range that a `Range` field asks for. `None` for several, for other units and for what is
/// malformed: those are answered whole, as RFC 9110 allows.
fn range(field: &str, length: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let (first, last) = field.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let part = if first.is_empty() {
        length.saturating_sub(number(last)?)..length
    } else {
        let first = number(first)?;
        let last = if last.is_empty() {
            u64::MAX
        } else {
            number(last)?
        };
        if last < first {
            return None;
        }
        first..length.min(last.saturating_add(1))
    };
    Some(if part.is_empty() {
        Err(Unsatisfiable)
    } else {
        Ok(part)
    })
}

/// Sends `count` bytes of a file as fast as they are taken. Whoever takes none for a while is left, so
/// that places are for those who do.
fn sent(mut file: File, count: u64, place: OwnedSemaphorePermit) -> Parts {
    let (sender, receiver) = mpsc::channel(BUFFERED);
    drop(tokio::spawn(async move {
        let _place = place;
        let mut left = count;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut part = vec![0; want];
            let read = match file.read(&mut part).await {
                // Shorter than it was: the client sees that the connection ends too early.
                Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(count) => {
                    part.truncate(count);
                    left = left.saturating_sub(count as u64);
                    Ok(Bytes::from(part))
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            let taken = tokio::time::timeout(PATIENCE, sender.send(read)).await;
            if failed || !matches!(taken, Ok(Ok(()))) {
                break;
            }
        }
    }));
    Parts {
        receiver,
        left: count,
    }
}

/// The parts of a file as a response's body.
struct Parts {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Stream for Parts {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.receiver.poll_recv(cx);
        next.map(|part| match part {
            Some(Ok(part)) => {
                self.left = self.left.saturating_sub(part.len() as u64);
                Some(Ok(part))
            }
            // Nothing more comes, and not all has come.
            None if self.left > 0 => {
                self.left = 0;
                Some(Err(io::ErrorKind::TimedOut.into()))
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served_and_everything_else_whole() {
        let ok = |field: &str, expected: Range<u64>| {
            assert_eq!(range(field, 10), Some(Ok(expected)), "{field}");
        };
        ok("bytes=0-", 0..10);
        ok("bytes=0-0", 0..1);
        ok("bytes=3-5", 3..6);
        ok("bytes=9-99", 9..10);
        ok("bytes=-3", 7..10);
        ok("bytes=-99", 0..10);
        ok("bytes=2-99999999999999999999999999", 2..10);
        for none in ["bytes=10-", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(range(none, 10), Some(Err(Unsatisfiable)), "{none}");
        }
        assert_eq!(range("bytes=0-", 0), Some(Err(Unsatisfiable)));
        for whole in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0-1,3-4",
            "items=0-1",
        ] {
            assert_eq!(range(whole, 10), None, "{whole}");
        }
    }
}
