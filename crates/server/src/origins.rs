//! Which pages of other origins may ask this service from a browser.
//!
//! The service knows no cookies, so that such a page learns nothing that its own server could not ask;
//! but a browser inside a network would ask for it a service that only that network reaches. So the
//! operator says who may. The page that the service serves itself needs no leave.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Every origin.
const ALL: &str = "*";
/// How long a browser remembers the leave.
const REMEMBERED: Duration = Duration::from_hours(1);

/// An origin as browsers send it; `None` for a text that no browser would send.
fn origin(text: &str) -> Option<HeaderValue> {
    let (scheme, host) = text.split_once("://")?;
    let known = matches!(scheme, "http" | "https");
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]_".contains(&b);
    if !known || host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    HeaderValue::from_str(text).ok()
}

/// Whether a setting is an origin, or all of them.
pub(crate) fn is_origin(text: &str) -> bool {
    text == ALL || origin(text).is_some()
}

/// Tells browsers which pages may read the answers; nothing where none of another origin may.
pub(crate) fn layer(allowed: &[String]) -> Option<CorsLayer> {
    if allowed.is_empty() {
        return None;
    }
    let origins = if allowed.iter().any(|one| one == ALL) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(allowed.iter().filter_map(|one| origin(one)))
    };
    let exposed = [
        header::LOCATION,
        header::RETRY_AFTER,
        HeaderName::from_static("server-timing"),
        HeaderName::from_static("x-request-id"),
    ];
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed)
            .max_age(REMEMBERED),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in [
            "*",
            "https://app.example",
            "http://127.0.0.1:8080",
            "http://[::1]:80",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "null",
            "app.example",
            "https://",
            "https://App.example",
            "https://app.example/",
            "https://*.example",
            "HTTPS://app.example",
            "ftp://app.example",
            "https://a b",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
