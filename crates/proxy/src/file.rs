//! The configuration file: packages and providers as JSON. A member that is not known is refused: a
//! demand that nobody understood must not look like one that is met.

use std::path::{Path, PathBuf};

use proofmark_recipient::{bytes_from_hex, policy};
use proofmark_tlog::VerifierKey;
use proofmark_types::Digest;
use serde::Deserialize;

use crate::ProxyError;
use crate::config::{LogPin, ProviderConfig};
use crate::models::PinnedFolder;

/// Largest configuration file.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// What a configuration file says.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The packages that are pinned.
    pub packages: Vec<PinnedFolder>,
    /// Who is asked, in this order.
    pub providers: Vec<ProviderConfig>,
    /// Raw Ed25519 public keys of auditors, each of whom must have attested every package.
    pub auditors: Vec<[u8; 32]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFile {
    packages: Vec<WirePackage>,
    providers: Vec<WireProvider>,
    #[serde(default)]
    auditor_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePackage {
    folder: PathBuf,
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProvider {
    url: String,
    service_key: Option<String>,
    log: Option<WireLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLog {
    key: VerifierKeyText,
    #[serde(default)]
    witnesses: Vec<VerifierKeyText>,
    quorum: Option<usize>,
    copy: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct VerifierKeyText(String);

impl ConfigFile {
    /// Reads a file's bytes. Folders in it are relative to `folder`.
    ///
    /// # Errors
    /// [`ProxyError::Config`].
    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self, ProxyError> {
        let wire: WireFile = serde_json::from_slice(bytes)
            .map_err(|error| ProxyError::config("configuration file", error.to_string()))?;
        let packages = wire.packages.into_iter().map(|package| PinnedFolder {
            folder: folder.join(package.folder),
            digest: package.digest,
        });
        let providers = wire
            .providers
            .into_iter()
            .map(|provider| provider.read(folder))
            .collect::<Result<_, _>>()?;
        let auditors = wire.auditor_keys.iter();
        Ok(Self {
            packages: packages.collect(),
            providers,
            auditors: auditors
                .map(|key| bytes32("auditor_keys", key))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl WireProvider {
    fn read(self, folder: &Path) -> Result<ProviderConfig, ProxyError> {
        let service_key = self.service_key.as_deref();
        let log = self.log.map(|log| log.read(folder)).transpose()?;
        Ok(ProviderConfig {
            url: self.url.trim_end_matches('/').to_owned(),
            service_key: service_key
                .map(|key| bytes32("service_key", key))
                .transpose()?,
            log,
        })
    }
}

impl WireLog {
    fn read(self, folder: &Path) -> Result<LogPin, ProxyError> {
        let key = |setting: &str, text: &VerifierKeyText| {
            text.0
                .parse::<VerifierKey>()
                .map_err(|error| ProxyError::config(setting, error.to_string()))
        };
        let witnesses = self
            .witnesses
            .iter()
            .map(|text| key("log.witnesses", text))
            .collect::<Result<Vec<_>, _>>()?;
        let policy = policy(&key("log.key", &self.key)?, &witnesses, self.quorum)
            .map_err(|refusal| ProxyError::config("log", refusal.to_string()))?;
        Ok(LogPin {
            policy,
            copy: self.copy.map(|copy| folder.join(copy)),
        })
    }
}

fn bytes32(setting: &str, text: &str) -> Result<[u8; 32], ProxyError> {
    bytes_from_hex(text).ok_or_else(|| ProxyError::config(setting, "it is 0x and 64 hex digits"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: &Value) -> Result<ConfigFile, ProxyError> {
        ConfigFile::parse(value.to_string().as_bytes(), Path::new("/etc/proofmark"))
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let key = format!("0x{}", "ab".repeat(32));
        let good = json!({
            "packages": [{"folder": "digits", "digest": digest}],
            "providers": [{"url": "http://a:1/", "service_key": key}, {"url": "http://b"}],
            "auditor_keys": [key],
        });
        let read = parse(&good).unwrap();
        assert_eq!(
            read.packages[0].folder,
            Path::new("/etc/proofmark").join("digits")
        );
        assert_eq!(read.providers[0].url, "http://a:1");
        assert_eq!(read.providers[0].service_key, Some([0xab; 32]));
        assert!(read.providers[1].service_key.is_none());
        assert_eq!(read.auditors, [[0xab; 32]]);
        for (pointer, value) in [
            ("/providers/0/service_key", json!("0xab")),
            ("/providers/0/log", json!({"key": "no key"})),
            ("/providers/0/log", json!({})),
            ("/packages/0/digest", json!("sha256:0")),
            ("/auditor_keys/0", json!("ab")),
        ] {
            let mut bad = good.clone();
            if let Some(slot) = bad.pointer_mut(pointer) {
                *slot = value;
            } else {
                bad["providers"][0]["log"] = value;
            }
            assert_eq!(parse(&bad).unwrap_err().code(), "proxy-config", "{pointer}");
        }
        for place in ["", "/packages/0", "/providers/0"] {
            let mut bad = good.clone();
            bad.pointer_mut(place).unwrap()["servicekey"] = json!(1);
            assert_eq!(parse(&bad).unwrap_err().code(), "proxy-config", "{place}");
        }
    }
}
