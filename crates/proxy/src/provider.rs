//! A provider over HTTP. What it sends is bounded in size and time, and believed in nothing.

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proofmark_http::problem::Problem;
use proofmark_log::{Folder, Reader};
use proofmark_tlog::{Policy, ReadError, Tiles};
use proofmark_types::problem::lookup;
use serde::Deserialize;
use ureq::config::Config;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

use crate::ProxyError;
use crate::config::ProviderConfig;
use crate::history::{Histories, History};
use crate::standing::{Aside, Blame, Standing};

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Largest problem that is read.
const MAX_PROBLEM_BYTES: usize = 64 << 10;
/// Longest time that a provider's `Retry-After` is believed, in seconds.
const MAX_RETRY_AFTER: u64 = 3600;

/// What is pinned of a provider's log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) policy: Policy,
    pub(crate) copy: Option<Folder>,
    pub(crate) history: Arc<History>,
}

/// Why a provider gave no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Its answer does not verify.
    Lie { code: &'static str, cause: String },
    /// It does not answer, or cannot.
    Outage { code: &'static str, cause: String },
    /// It has too much to do.
    Busy { retry_after: u64 },
    /// It does not serve this package.
    Absent { code: &'static str },
    /// It refuses the request, which the proxy found good.
    Refused { code: &'static str },
    /// The request's time was up before the provider's.
    Late,
    /// The proxy itself cannot go on.
    Own(Problem),
}

/// When a provider must be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    pub(crate) instant: Instant,
    /// Whether that is the provider's whole time, or the request has less left.
    pub(crate) whole: bool,
}

impl Until {
    pub(crate) fn left(self) -> Duration {
        self.instant.saturating_duration_since(Instant::now())
    }
}

/// A provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) url: String,
    pub(crate) service_key: Option<[u8; 32]>,
    pub(crate) log: Option<Log>,
    agent: Agent,
    standing: Mutex<Standing>,
}

/// As far as a provider's problem is read.
#[derive(Deserialize)]
struct Told {
    code: String,
}

impl Provider {
    pub(crate) fn open(
        config: &ProviderConfig,
        histories: Option<&mut Histories>,
    ) -> Result<Self, ProxyError> {
        let log = match (&config.log, histories) {
            (Some(pin), Some(histories)) => Some(Log {
                history: histories.of(pin.policy.log())?,
                policy: pin.policy.clone(),
                copy: pin
                    .copy
                    .as_deref()
                    .map(|c| copy(c, &pin.policy))
                    .transpose()?,
            }),
            (None, _) => None,
            (Some(_), None) => {
                let reason = "a log is pinned and there is no folder for what is seen of it";
                return Err(ProxyError::config("state", reason));
            }
        };
        let agent = Config::builder()
            .http_status_as_error(false)
            // Another address was not configured, and says nothing that this one could not.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .build()
            .new_agent();
        Ok(Self {
            url: config.url.clone(),
            service_key: config.service_key,
            log,
            agent,
            standing: Mutex::default(),
        })
    }

    pub(crate) fn aside(&self, now: Instant) -> Option<Aside> {
        self.standing().aside(now)
    }

    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for an inference; the body of a `200`.
    pub(crate) fn infer(
        &self,
        path: &str,
        request_id: &str,
        body: &[u8],
        limit: usize,
        until: Until,
    ) -> Result<Vec<u8>, Failed> {
        let left = until.left();
        let response = self
            .agent
            .post(format!("{}{path}/infer", self.url))
            .config()
            .timeout_global(Some(left))
            .build()
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("x-request-id", request_id)
            .header(
                "request-timeout",
                format!("{:.3}", left.as_secs_f64().max(0.001)),
            )
            .send(body)
            .map_err(|error| unreachable(&error, until))?;
        match response.status().as_u16() {
            200 => read(response, limit, until)?.ok_or_else(|| Failed::Lie {
                code: "answer-malformed",
                cause: format!("the answer is longer than the {limit} bytes that one can have"),
            }),
            status => Err(refusal(response, status, until)),
        }
    }

    /// `GET`; the body of a `200`, nothing for a `404`.
    pub(crate) fn get(
        &self,
        path: &str,
        limit: usize,
        until: Until,
    ) -> Result<Option<Vec<u8>>, Failed> {
        let response = self
            .agent
            .get(format!("{}{path}", self.url))
            .config()
            .timeout_global(Some(until.left()))
            .build()
            .call()
            .map_err(|error| unreachable(&error, until))?;
        match response.status().as_u16() {
            200 => read(response, limit, until)?
                .map(Some)
                .ok_or_else(|| Failed::Lie {
                    code: "answer-malformed",
                    cause: format!("{path} is longer than {limit} bytes"),
                }),
            404 => Ok(None),
            status => Err(refusal(response, status, until)),
        }
    }
}

/// A copy of a log that can be read now: of one that cannot, providers would be blamed.
fn copy(folder: &Path, policy: &Policy) -> Result<Folder, ProxyError> {
    let copy = Folder::new(folder);
    Reader::open(&copy, policy).map_err(|error| {
        let setting = format!("copy of the log, {}", folder.display());
        ProxyError::config(setting, error.to_string())
    })?;
    Ok(copy)
}

/// A provider's log as static files.
pub(crate) struct LogOf<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) until: Until,
}

impl Tiles for LogOf<'_> {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let got = self.provider.get(&format!("/{path}"), limit, self.until);
        got.map_err(|failed| ReadError {
            reason: match failed {
                Failed::Lie { cause, .. } | Failed::Outage { cause, .. } => cause,
                _ => "the provider does not hand it out now".to_owned(),
            },
        })
    }
}

/// The body, unless it is longer than that.
fn read(
    mut response: Response<Body>,
    limit: usize,
    until: Until,
) -> Result<Option<Vec<u8>>, Failed> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| unreachable(&error.into(), until))?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= limit))
}

fn unreachable(error: &ureq::Error, until: Until) -> Failed {
    // Where the time is up it is not looked for another reason.
    if matches!(error, ureq::Error::Timeout(_)) || until.left().is_zero() {
        if until.whole {
            return Failed::Outage {
                code: "deadline-exceeded",
                cause: "it did not answer in the time that a provider has".to_owned(),
            };
        }
        return Failed::Late;
    }
    Failed::Outage {
        code: "service-unreachable",
        cause: error.to_string(),
    }
}

/// What a status means that is no success. Of the body only a code is read, and only one of ours.
fn refusal(response: Response<Body>, status: u16, until: Until) -> Failed {
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        .map_or(1, |seconds| seconds.clamp(1, MAX_RETRY_AFTER));
    match status {
        429 => return Failed::Busy { retry_after },
        // It was told how little time the request had left.
        504 if !until.whole => return Failed::Late,
        _ => {}
    }
    let code = match read(response, MAX_PROBLEM_BYTES, until) {
        Ok(Some(body)) => serde_json::from_slice::<Told>(&body)
            .ok()
            .and_then(|told| known(&told.code, status)),
        _ => None,
    };
    match (status, code) {
        (404 | 410, code) => Failed::Absent {
            code: code.unwrap_or("service-refused"),
        },
        (400..=499, Some(code)) if is_of_the_request(code) => Failed::Refused { code },
        (_, code) => Failed::Outage {
            code: code.unwrap_or("service-refused"),
            cause: format!("it answered {status}"),
        },
    }
}

/// One of our codes, told with its own status.
fn known(code: &str, status: u16) -> Option<&'static str> {
    use proofmark_types::problem::ERROR_CODES;
    lookup(code).filter(|(listed, _)| *listed == status)?;
    let found = ERROR_CODES.iter().find(|(listed, ..)| *listed == code);
    found.map(|(code, ..)| *code)
}

/// Whether a code says that the request is wrong, and not the provider.
fn is_of_the_request(code: &str) -> bool {
    ["input-", "tensor-", "output-", "parameter-", "request-"]
        .iter()
        .any(|kind| code.starts_with(kind))
        || ["body-too-large", "json-malformed", "context-expired"].contains(&code)
}

impl Failed {
    /// Stable code, for logs and metrics.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Lie { code, .. }
            | Self::Outage { code, .. }
            | Self::Absent { code }
            | Self::Refused { code } => code,
            Self::Busy { .. } => "queue-full",
            Self::Late => "deadline-exceeded",
            Self::Own(problem) => problem.code(),
        }
    }

    /// Whether the provider is put aside for it.
    pub(crate) fn blame(&self) -> Option<Blame> {
        match self {
            Self::Lie { .. } => Some(Blame::Lie),
            Self::Outage { .. } => Some(Blame::Outage),
            _ => None,
        }
    }

    /// What happened, in our own words.
    pub(crate) fn cause(&self) -> &str {
        match self {
            Self::Lie { cause, .. } | Self::Outage { cause, .. } => cause,
            Self::Busy { .. } => "it has too much to do",
            Self::Absent { .. } => "it does not serve this package",
            Self::Refused { .. } => "it refuses the request",
            Self::Late => "the request's time was up",
            Self::Own(problem) => problem.cause().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_codes_with_their_status_are_repeated() {
        assert_eq!(known("input-shape", 400), Some("input-shape"));
        assert_eq!(known("input-shape", 422), None);
        assert_eq!(known("<script>", 400), None);
        assert_eq!(known("", 400), None);
    }

    #[test]
    fn what_a_provider_may_blame_on_the_request() {
        for code in ["input-shape", "parameter-invalid", "body-too-large"] {
            assert!(is_of_the_request(code), "{code}");
        }
        for code in [
            "proof-invalid",
            "method-not-allowed",
            "idempotency-key-reused",
        ] {
            assert!(!is_of_the_request(code), "{code}");
        }
    }
}
