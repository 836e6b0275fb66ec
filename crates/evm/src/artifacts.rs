//! The contracts that need no key, compiled: `contracts/artifacts`, made by `contracts/build.mjs`
//! and compared with a new compilation by a test.

use serde_json::Value;

use crate::error::EvmError;

/// A contract that is deployed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// Verifies under every registered key.
    UniversalVerifier,
    /// Finds the verifier of a key; can be stopped.
    Router,
    /// Models after ERC-7992.
    Registry,
    /// Inferences after ERC-7992.
    InferenceVerifier,
    /// Requests for inferences, paid from escrow.
    Requests,
    /// An example of a consumer.
    CreditLine,
}

/// A compiled contract.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Creation bytecode; the constructor's arguments are appended in ABI encoding.
    pub bytecode: Vec<u8>,
    /// The ABI, as Solidity's JSON.
    pub abi: Value,
}

impl Contract {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::UniversalVerifier,
        Self::Router,
        Self::Registry,
        Self::InferenceVerifier,
        Self::Requests,
        Self::CreditLine,
    ];

    /// The name in the source.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UniversalVerifier => "UniversalVerifier",
            Self::Router => "Router",
            Self::Registry => "Registry",
            Self::InferenceVerifier => "InferenceVerifier",
            Self::Requests => "Requests",
            Self::CreditLine => "CreditLine",
        }
    }

    const fn json(self) -> &'static str {
        match self {
            Self::UniversalVerifier => {
                include_str!("../../../contracts/artifacts/UniversalVerifier.json")
            }
            Self::Router => include_str!("../../../contracts/artifacts/Router.json"),
            Self::Registry => include_str!("../../../contracts/artifacts/Registry.json"),
            Self::InferenceVerifier => {
                include_str!("../../../contracts/artifacts/InferenceVerifier.json")
            }
            Self::Requests => include_str!("../../../contracts/artifacts/Requests.json"),
            Self::CreditLine => include_str!("../../../contracts/artifacts/CreditLine.json"),
        }
    }

    /// The compiled contract.
    ///
    /// # Errors
    /// [`EvmError::Artifact`] when this program was built from a damaged one.
    pub fn artifact(self) -> Result<Artifact, EvmError> {
        Artifact::parse(self.json()).map_err(|reason| EvmError::Artifact {
            contract: self.name(),
            reason,
        })
    }
}

impl Artifact {
    /// Reads an artefact as `contracts/build.mjs` writes it.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn parse(json: &str) -> Result<Self, String> {
        let mut value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let hex = value["bytecode"].as_str().ok_or("it has no bytecode")?;
        let bytecode = bytes(hex).ok_or("its bytecode is not hexadecimal")?;
        let abi = value["abi"].take();
        Ok(Self { bytecode, abi })
    }
}

/// The bytes behind `0x`.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.strip_prefix("0x")?.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_is_there() {
        for contract in Contract::ALL {
            let artifact = contract.artifact().unwrap();
            assert!(artifact.bytecode.len() > 100, "{contract:?}");
            assert!(artifact.bytecode.len() <= 49_152, "EIP-3860: {contract:?}");
            assert!(artifact.abi.as_array().unwrap().len() > 3, "{contract:?}");
            let value: Value = serde_json::from_str(contract.json()).unwrap();
            assert_eq!(value["contract"], contract.name());
        }
    }

    #[test]
    fn damage_is_refused() {
        for json in [
            "",
            "{}",
            r#"{"bytecode":null}"#,
            r#"{"bytecode":"00"}"#,
            r#"{"bytecode":"0x0"}"#,
            r#"{"bytecode":"0x0g"}"#,
        ] {
            assert!(Artifact::parse(json).is_err(), "{json}");
        }
    }
}
