//! Questions as JSON, for whoever is no Rust. A member that is not known, one without a value and one
//! that says nothing here are refused: a demand that nobody understood must not look like one that was
//! met.

use proofmark_tlog::{Hash, Policy, Tiles, VerifierKey};
use proofmark_types::receipt::read_openings;
use proofmark_types::{Context, Digest};
use proofmark_verifier::{Opening, TrustedPackage};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use crate::demands::{Attesters, Demands, LogCopy, LogDemand, policy};
use crate::exchange::Answer;
use crate::hex::bytes_from_hex;
use crate::history::{Heads, compare_checkpoints};
use crate::logged::check_proof;
use crate::opened::open;
use crate::refusal::Refusal;
use crate::request::read_request;
use crate::verdict::Verdict;
use crate::verify::{Verified, open_package, verify, verify_proof};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WireDemands<'a> {
    #[serde(deserialize_with = "given")]
    context: Option<Context>,
    #[serde(deserialize_with = "given")]
    nonce: Option<String>,
    #[serde(deserialize_with = "given")]
    service_key: Option<String>,
    #[serde(borrow, deserialize_with = "given")]
    openings: Option<&'a RawValue>,
    attestations: Vec<String>,
    auditor_keys: Vec<String>,
    #[serde(deserialize_with = "given")]
    log: Option<WireLog>,
    #[serde(deserialize_with = "given")]
    now: Option<u64>,
}

/// A member that is there has a value: whoever writes `null` lost what was to be demanded.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLog {
    key: String,
    #[serde(default)]
    witnesses: Vec<String>,
    #[serde(default, deserialize_with = "given")]
    quorum: Option<usize>,
    #[serde(default, deserialize_with = "given")]
    proof: Option<String>,
    #[serde(default)]
    copy_may_be_older: bool,
}

/// The members of a request and of its inputs that are read, as far as each must stand there once: of two
/// with one name the service may read the other one. One type for both, so that browsers load it once.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Once {
    #[serde(rename = "inputs")]
    _inputs: Vec<Self>,
    #[serde(rename = "parameters")]
    _parameters: IgnoredAny,
    #[serde(rename = "name")]
    _name: IgnoredAny,
    #[serde(rename = "shape")]
    _shape: IgnoredAny,
    #[serde(rename = "datatype")]
    _datatype: IgnoredAny,
    #[serde(rename = "data")]
    _data: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProof {
    verifying_key_digest: Digest,
    proof: String,
    public_inputs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCheckpoints {
    log: WireLog,
    older: String,
    newer: String,
    proof: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireHistory {
    log: WireLog,
    older: String,
}

/// Opens a package that is pinned by the text of its digest.
///
/// # Errors
/// `parameter-invalid` for a text that is no digest, and as [`open_package`].
pub fn open_pinned(
    digest: &str,
    manifest: &[u8],
    verifying_key: &[u8],
) -> Result<TrustedPackage, Refusal> {
    let digest = digest
        .parse::<Digest>()
        .map_err(|_| Refusal::request("package digest", "it is not sha256: and 64 hex digits"))?;
    open_package(digest, manifest, verifying_key)
}

/// Verifies a receipt with demands as a JSON object; every member may be missing:
///
/// `context` (object as in the receipt), `nonce`, `service_key` (`0x` and 64 hex digits), `openings`
/// (a file of openings), `attestations` (texts), `auditor_keys` (hex), `now` (unix seconds), `log`:
/// `{key, witnesses, quorum, proof, copy_may_be_older}`, where `proof` is the text of a `.tlog-proof`.
/// `copy` gives the files of a copy of the log.
pub fn answer(
    package: &TrustedPackage,
    receipt: &[u8],
    demands: &str,
    copy: Option<&dyn Tiles>,
) -> Verdict {
    let judged = parse("demands", demands).and_then(|wire: WireDemands<'_>| {
        let openings = match wire.openings {
            Some(text) => read_openings(text.get().as_bytes())?,
            None => Vec::new(),
        };
        wire.judge(package, receipt, openings, None, copy)
    });
    judged.into()
}

/// Verifies a service's answer to an inference request whose body holds these `inputs`: the receipt
/// in the answer as [`answer`] does, and that it is of these very inputs. Where a log is demanded
/// without a proof of it, the answer's is taken. The demands must name the context or nonce that was
/// asked for: without one any older receipt of the same inputs would do.
pub fn answer_inference(
    package: &TrustedPackage,
    request: &str,
    body: &[u8],
    demands: &str,
    copy: Option<&dyn Tiles>,
) -> Verdict {
    let judged = parse("demands", demands).and_then(|wire: WireDemands<'_>| {
        if wire.context.is_none() && wire.nonce.is_none() {
            return Err(Refusal::request(
                "nonce",
                "an answer is verified against the nonce of its request",
            ));
        }
        if wire.openings.is_some() {
            return Err(Refusal::request(
                "openings",
                "they are made from request and answer",
            ));
        }
        let manifest = package.manifest();
        parse::<Once>("request", request)?;
        let inputs = read_request(manifest, &parse("request", request)?)?;
        let body = Answer::parse(body).map_err(|error| Refusal::NoAnswer {
            reason: error.to_string(),
        })?;
        let openings = body.openings(manifest, &inputs)?;
        let verified = wire.judge(package, body.receipt(), openings, body.tlog_proof(), copy)?;
        // These very bytes were verified; whoever keeps the receipt keeps them.
        let receipt = String::from_utf8_lossy(body.receipt()).into_owned();
        Ok(Verdict::accepted(&verified).with("receipt", json!(receipt)))
    });
    judged.unwrap_or_else(|refusal| Verdict::refused(&refusal))
}

impl WireDemands<'_> {
    fn judge(
        &self,
        package: &TrustedPackage,
        receipt: &[u8],
        openings: Vec<Opening>,
        proof: Option<&str>,
        copy: Option<&dyn Tiles>,
    ) -> Result<Verified, Refusal> {
        let log = match (&self.log, copy) {
            (Some(log), copy) => Some(LogDemand {
                policy: log.policy()?,
                proof: log.proof.as_deref().or(proof).map(str::as_bytes),
                copy: copy.map(|tiles| LogCopy {
                    tiles,
                    may_be_older: log.copy_may_be_older,
                }),
            }),
            (None, None) => None,
            (None, Some(_)) => {
                let reason = "a copy of a log is given without its key";
                return Err(Refusal::request("log", reason));
            }
        };
        if copy.is_none() && self.log.as_ref().is_some_and(|log| log.copy_may_be_older) {
            return Err(no_copy());
        }
        let attestations = self
            .attestations
            .iter()
            .map(|text| text.as_bytes().to_vec());
        let auditors = self
            .auditor_keys
            .iter()
            .map(|key| bytes32("auditor_keys", key))
            .collect::<Result<_, _>>()?;
        let optional = |what, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| bytes32(what, text)).transpose()
        };
        let demands = Demands {
            context: self.context,
            nonce: optional("nonce", &self.nonce)?,
            service_key: optional("service_key", &self.service_key)?,
            openings,
            attesters: Attesters {
                attestations: attestations.collect(),
                auditors,
            },
            log,
            now: self.now,
        };
        verify(package, receipt, &demands)
    }
}

/// Compares a file of openings with a receipt; neither proof nor package is looked at.
pub fn answer_opening(receipt: &[u8], openings: &[u8]) -> Verdict {
    let opened = read_openings(openings)
        .map_err(Refusal::from)
        .and_then(|openings: Vec<Opening>| open(receipt, openings));
    match opened {
        Ok(opened) => Verdict::of(opened.json()),
        Err(refusal) => Verdict::refused(&refusal),
    }
}

/// Verifies a proof alone: `{verifying_key_digest, proof, public_inputs}`, the latter two in hex.
pub fn answer_proof(verifying_key: &[u8], question: &str) -> Verdict {
    let judged = parse("question", question).and_then(|wire: WireProof| {
        let proof = bytes_of("proof", &wire.proof)?;
        let inputs = wire
            .public_inputs
            .iter()
            .map(|input| bytes32("public_inputs", input))
            .collect::<Result<Vec<_>, _>>()?;
        verify_proof(wire.verifying_key_digest, verifying_key, &proof, &inputs)?;
        Ok(json!({
            "verdict": "proven",
            "verifying_key": wire.verifying_key_digest,
            "public_inputs": wire.public_inputs,
        }))
    });
    settle(judged)
}

/// Checks that a `.tlog-proof` shows a receipt in the log: `{key, witnesses, quorum, proof}`. Nothing
/// else of the receipt is looked at.
pub fn answer_log_proof(receipt: &[u8], question: &str) -> Verdict {
    let judged = parse("question", question).and_then(|wire: WireLog| {
        let proof = wire.proof.as_deref().ok_or(Refusal::NoLogEvidence)?;
        if wire.copy_may_be_older {
            return Err(no_copy());
        }
        let logged = check_proof(&wire.policy()?, proof.as_bytes(), receipt)?;
        let mut json = logged.json();
        if let Some(members) = json.as_object_mut() {
            members.insert("verdict".to_owned(), json!("logged"));
            members.insert("not_proven".to_owned(), json!(logged.not_proven()));
        }
        Ok(json)
    });
    settle(judged)
}

/// Compares two checkpoints of a log by a consistency proof: `{log: {key, …}, older, newer, proof}`,
/// the proof a list of hashes in base64.
pub fn answer_checkpoints(question: &str) -> Verdict {
    let judged = parse("question", question).and_then(|wire: WireCheckpoints| {
        let proof = wire
            .proof
            .iter()
            .map(|hash| hash.parse())
            .collect::<Result<Vec<Hash>, _>>()?;
        let (older, newer) = (wire.older.as_bytes(), wire.newer.as_bytes());
        Ok(compare_checkpoints(&wire.log.keys()?, older, newer, &proof)?.json())
    });
    settle(judged)
}

/// Compares a checkpoint that was kept with a copy of the log as it is: `{log: {key, …}, older}`.
pub fn answer_history(question: &str, copy: &dyn Tiles) -> Verdict {
    let judged = parse("question", question).and_then(|wire: WireHistory| {
        Ok(Heads::of_copy(&wire.log.keys()?, wire.older.as_bytes(), copy)?.json())
    });
    settle(judged)
}

fn settle(judged: Result<serde_json::Value, Refusal>) -> Verdict {
    match judged {
        Ok(json) => Verdict::of(json),
        Err(refusal) => Verdict::refused(&refusal),
    }
}

/// A permission for a copy is refused where there is none.
fn no_copy() -> Refusal {
    Refusal::request("copy_may_be_older", "there is no copy of the log")
}

impl WireLog {
    /// The keys, where no receipt is asked about.
    fn keys(&self) -> Result<Policy, Refusal> {
        if self.proof.is_some() || self.copy_may_be_older {
            return Err(Refusal::request("log", "nothing but its keys is read"));
        }
        self.policy()
    }

    fn policy(&self) -> Result<Policy, Refusal> {
        let key = |what: &'static str, text: &str| {
            text.parse::<VerifierKey>()
                .map_err(|error| Refusal::request(what, error.to_string()))
        };
        let witnesses = self
            .witnesses
            .iter()
            .map(|text| key("log.witnesses", text))
            .collect::<Result<Vec<_>, _>>()?;
        policy(&key("log.key", &self.key)?, &witnesses, self.quorum)
    }
}

fn parse<'de, T: Deserialize<'de>>(what: &'static str, text: &'de str) -> Result<T, Refusal> {
    // An array would be read as the members in their order.
    if !text.trim_start().starts_with('{') {
        return Err(Refusal::request(what, "it is no JSON object"));
    }
    // From bytes, as everything else is read: one parser in what browsers load.
    let read = serde_json::from_slice(text.as_bytes());
    read.map_err(|error| Refusal::request(what, error.to_string()))
}

fn bytes32(what: &'static str, text: &str) -> Result<[u8; 32], Refusal> {
    bytes_from_hex(text).ok_or_else(|| Refusal::request(what, "it is not 0x and 64 hex digits"))
}

/// Bytes of any length: `0x` and pairs of hex digits.
fn bytes_of(what: &'static str, text: &str) -> Result<Vec<u8>, Refusal> {
    let refuse = || Refusal::request(what, "it is not 0x and pairs of hex digits");
    let digits = text.strip_prefix("0x").ok_or_else(refuse)?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(refuse());
    }
    pairs
        .iter()
        .map(|pair| crate::hex::byte(*pair).ok_or_else(refuse))
        .collect()
}
