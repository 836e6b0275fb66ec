//! The `parameters` of an inference request that the service understands.

use proofmark_types::Context;
use proofmark_types::manifest::MAX_COUNT;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::problem::{Problem, echo};

/// Parameters of an inference request. Members that are not listed here are ignored, as the Open
/// Inference Protocol wants it.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct RequestParameters {
    /// 32 bytes as `0x` and 64 hex digits, chosen by the client so that no older proof answers.
    /// Drawn by the service when it is absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "0x8f3a1c0000000000000000000000000000000000000000000000000000000001")]
    nonce: Value,
    /// EIP-155 chain id of the contract that is to consume the proof: a number, or `0x` and hex
    /// digits; 0 off chain.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    chain_id: Value,
    /// Address of that contract: `0x` and 40 hex digits.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    consumer: Value,
    /// Whoever asks, as that contract identifies them: `0x` and 64 hex digits.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    requester: Value,
    /// Unix seconds after which that contract refuses the proof. (The time that a request may
    /// take is the header `Request-Timeout`.)
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    deadline: Value,
    /// `inline` (the default): the answer carries the receipt. `link`: its address only.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "inline")]
    receipt: Value,
    /// Everything else.
    #[serde(flatten)]
    #[schema(ignore)]
    _others: Map<String, Value>,
}

impl RequestParameters {
    /// What the proof is to be bound to, with a nonce from the operating system when the client
    /// names none.
    ///
    /// # Errors
    /// `parameter-invalid`; `internal` without randomness.
    pub fn context(&self) -> Result<Context, Problem> {
        let nonce = match &self.nonce {
            Value::Null => {
                let mut nonce = [0; 32];
                getrandom::fill(&mut nonce)
                    .map_err(|e| Problem::internal(format!("no randomness: {e}")))?;
                nonce
            }
            given => bytes("nonce", given)?,
        };
        Ok(Context {
            chain_id: chain_id(&self.chain_id)?,
            consumer: optional("consumer", &self.consumer)?,
            requester: optional("requester", &self.requester)?,
            nonce,
            deadline: deadline(&self.deadline)?,
        })
    }

    /// Whether the answer is to carry the receipt.
    ///
    /// # Errors
    /// `parameter-invalid`.
    pub fn inline_receipt(&self) -> Result<bool, Problem> {
        match &self.receipt {
            Value::Null => Ok(true),
            Value::String(word) if word == "inline" => Ok(true),
            Value::String(word) if word == "link" => Ok(false),
            other => Err(refuse(
                "receipt",
                format!("receipt is inline or link, got {}", shown(other)),
            )),
        }
    }
}

/// What was given, cut when it is long; a list or an object by its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(text) => echo(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn refuse(name: &str, detail: String) -> Problem {
    Problem::fault("parameter-invalid", &format!("/parameters/{name}"), detail)
}

fn optional<const N: usize>(name: &str, value: &Value) -> Result<[u8; N], Problem> {
    match value {
        Value::Null => Ok([0; N]),
        given => bytes(name, given),
    }
}

fn bytes<const N: usize>(name: &str, value: &Value) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    value
        .as_str()
        .and_then(|text| text.strip_prefix("0x"))
        .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
        .map(|()| bytes)
        .ok_or_else(|| {
            let digits = 2 * N;
            refuse(
                name,
                format!(
                    "{name} is a string of 0x and {digits} hex digits, got {}",
                    shown(value)
                ),
            )
        })
}

fn chain_id(value: &Value) -> Result<[u8; 32], Problem> {
    let number = |n: u64| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&n.to_be_bytes());
        word
    };
    let parsed = match value {
        Value::Null => Some([0; 32]),
        Value::Number(n) => n.as_u64().map(number),
        Value::String(text) => match text.strip_prefix("0x") {
            None => text.parse().ok().map(number),
            Some(digits) if (1..=64).contains(&digits.len()) => {
                let mut word = [0; 32];
                hex::decode_to_slice(format!("{digits:0>64}"), &mut word)
                    .ok()
                    .map(|()| word)
            }
            Some(_) => None,
        },
        _ => None,
    };
    parsed.ok_or_else(|| {
        refuse(
            "chain_id",
            format!(
                "chain_id is a number, or a string of 0x and at most 64 hex digits, got {}",
                shown(value)
            ),
        )
    })
}

fn deadline(value: &Value) -> Result<u64, Problem> {
    let parsed = match value {
        Value::Null => Some(0),
        Value::Number(n) => n.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.filter(|n| *n <= MAX_COUNT).ok_or_else(|| {
        refuse(
            "deadline",
            format!(
                "deadline is Unix seconds, at most 2^53 - 1, got {}",
                shown(value)
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Context, Problem> {
        serde_json::from_str::<RequestParameters>(json)
            .unwrap()
            .context()
    }

    #[test]
    fn a_nonce_is_drawn_when_none_is_given() {
        let (a, b) = (parse("{}").unwrap(), parse("{\"binary\":true}").unwrap());
        assert!(a.is_off_chain() && b.is_off_chain());
        assert_ne!(a.nonce, b.nonce);
    }

    #[test]
    fn every_member_reaches_the_context() {
        let json = format!(
            "{{\"nonce\":\"0x{}\",\"chain_id\":\"0x1aBc\",\"consumer\":\"0x{}\",\"requester\":\"0x{}\",\"deadline\":1900000000}}",
            "01".repeat(32),
            "aF".repeat(20),
            "03".repeat(32)
        );
        let context = parse(&json).unwrap();
        assert_eq!(context.nonce, [1; 32]);
        assert_eq!(context.chain_id[30..], [0x1a, 0xbc]);
        assert_eq!(context.consumer, [0xaf; 20]);
        assert_eq!(context.requester, [3; 32]);
        assert_eq!(context.deadline, 1_900_000_000);
        for (chain_id, last) in [("1", 1), ("\"0x3\"", 3), ("\"7\"", 7), ("null", 0)] {
            let context = parse(&format!("{{\"chain_id\":{chain_id}}}")).unwrap();
            assert_eq!(context.chain_id[31], last);
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for json in [
            "{\"nonce\":\"\"}",
            "{\"nonce\":7}",
            "{\"nonce\":\"0x01\"}",
            "{\"nonce\":[]}",
            "{\"chain_id\":-1}",
            "{\"chain_id\":1.5}",
            "{\"chain_id\":\"0x\"}",
            "{\"chain_id\":\"1 \"}",
            "{\"consumer\":\"0x00\"}",
            "{\"requester\":false}",
            "{\"deadline\":9007199254740992}",
            "{\"deadline\":\"soon\"}",
        ] {
            assert_eq!(
                parse(json).unwrap_err().code(),
                "parameter-invalid",
                "{json}"
            );
        }
        let bad: RequestParameters = serde_json::from_str("{\"receipt\":\"yes\"}").unwrap();
        assert_eq!(
            bad.inline_receipt().unwrap_err().code(),
            "parameter-invalid"
        );
    }
}
