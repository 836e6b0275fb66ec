//! The page that the service shows people: static files in the program itself, under a policy that
//! lets nothing else in. It asks this service's API like any other client and verifies receipts in the
//! browser; nothing here knows more than the API tells.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use proofmark_types::Digest;

use crate::problem::Problem;
use crate::routes::immutable;
use crate::service::Shared;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const WASM: &str = "application/wasm";

/// Where the one document is shown; its script reads the path.
const PAGES: [&str; 6] = [
    "/",
    "/models",
    "/models/{name}",
    "/receipt",
    "/receipt/{id}",
    "/log",
];

/// Nothing is loaded from elsewhere, nothing is inline, no text becomes markup, and nobody frames the
/// page.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                      img-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

macro_rules! files {
    ($($folder:literal: $($name:literal $media:ident),*;)*) => {
        [$($(($name, $media, include_bytes!(concat!($folder, $name)).as_slice()),)*)*]
    };
}

/// A file of the page.
struct File {
    media: &'static str,
    plain: Form,
    /// With gzip, where that is shorter.
    packed: Option<Form>,
}

/// Bytes and their digest.
struct Form {
    bytes: Cow<'static, [u8]>,
    digest: Digest,
}

impl Form {
    fn new(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: Digest::of(&bytes),
            bytes,
        }
    }
}

impl File {
    fn new(media: &'static str, bytes: &'static [u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed = encoder
            .write_all(bytes)
            .and_then(|()| encoder.finish())
            .ok();
        Self {
            media,
            plain: Form::new(bytes),
            packed: packed
                .filter(|packed| packed.len() < bytes.len())
                .map(Form::new),
        }
    }
}

/// The files by their names.
static FILES: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let files = files![
        "../web/":
        "index.html" HTML,
        "style.css" CSS,
        "mark.svg" SVG,
        "api.js" JAVASCRIPT,
        "app.js" JAVASCRIPT,
        "check.js" JAVASCRIPT,
        "dom.js" JAVASCRIPT,
        "history.js" JAVASCRIPT,
        "inputs.js" JAVASCRIPT,
        "log.js" JAVASCRIPT,
        "memory.js" JAVASCRIPT,
        "models.js" JAVASCRIPT,
        "playground.js" JAVASCRIPT,
        "receipt.js" JAVASCRIPT,
        "tensors.js" JAVASCRIPT,
        "verdict.js" JAVASCRIPT,
        "verifier.js" JAVASCRIPT;
        // The verifier, as the TypeScript package has it.
        "../../../clients/typescript/wasm/":
        "proofmark.js" JAVASCRIPT,
        "proofmark_bg.wasm" WASM;
    ];
    let file = |(name, media, bytes)| (name, File::new(media, bytes));
    files.into_iter().map(file).collect()
});

/// The routes of the page. They are not part of the API and not described there.
pub(crate) fn router() -> Router<Arc<Shared>> {
    let mut router = Router::new().route(
        "/web/{name}",
        get(async |Path(name): Path<String>, headers: HeaderMap| serve(&name, &headers)),
    );
    for page in PAGES {
        let document = async |headers: HeaderMap| serve("index.html", &headers);
        router = router.route(page, get(document));
    }
    router
}

fn serve(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.get(name).ok_or_else(Problem::not_found)?;
    let packed = file.packed.as_ref().filter(|_| takes_gzip(headers));
    let form = packed.unwrap_or(&file.plain);
    let bytes = form.bytes.to_vec();
    // Asked for again each time, so that the page and its parts are always of one version.
    let mut response = immutable(headers, &form.digest, file.media, "no-cache", bytes);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Whether the client takes gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .any(|coding| coding == "gzip" || coding.starts_with("gzip;") && !coding.ends_with("q=0"))
}
