//! What an operator can set.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use proofmark_tlog::Policy;

use crate::ProxyError;

/// What is pinned of a provider's transparency log.
#[derive(Debug, Clone)]
pub struct LogPin {
    /// Whose word on the log is taken.
    pub policy: Policy,
    /// The static files of a copy of the log: what it revokes is refused. It may be older than the
    /// answers. Needs the provider's service key.
    pub copy: Option<PathBuf>,
}

/// A service that may be asked.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its address, `http://…`, without a slash at the end.
    pub url: String,
    /// Raw Ed25519 public key that must have signed its receipts.
    pub service_key: Option<[u8; 32]>,
    /// The log that must hold its receipts.
    pub log: Option<LogPin>,
}

/// Settings of a proxy.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whether that may be an address that other machines reach. Whoever reaches the proxy uses it:
    /// it asks nobody who they are.
    pub allow_remote: bool,
    /// Who is asked, in this order.
    pub providers: Vec<ProviderConfig>,
    /// Folder for what was seen of the logs; needed when a log is pinned.
    pub state: Option<PathBuf>,
    /// Folder in which every receipt is kept before its answer leaves.
    pub receipts: Option<PathBuf>,
    /// Time of a request that names none in `Request-Timeout`, all providers together.
    pub timeout: Duration,
    /// Largest time that a request may ask for.
    pub max_timeout: Duration,
    /// Time that one provider has.
    pub provider_timeout: Duration,
    /// Requests at the same time. One more is answered `429`.
    pub concurrency: usize,
    /// Largest request body in bytes. All bodies together take at most 16 times as much memory.
    pub body_limit: usize,
    /// Time for a whole request body to arrive.
    pub body_timeout: Duration,
    /// Time that a shutdown leaves to what was accepted before it.
    pub drain_timeout: Duration,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            allow_remote: false,
            providers: Vec::new(),
            state: None,
            receipts: None,
            timeout: Duration::from_mins(2),
            max_timeout: Duration::from_mins(30),
            provider_timeout: Duration::from_mins(1),
            concurrency: 64,
            body_limit: 16 << 20,
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl ProxyConfig {
    /// Checks that every setting makes sense.
    ///
    /// # Errors
    /// [`ProxyError::Config`] with the first setting that does not.
    pub fn validate(&self) -> Result<(), ProxyError> {
        let refuse = |setting: &str, reason: &str| Err(ProxyError::config(setting, reason));
        if !self.allow_remote && !self.listen.ip().is_loopback() {
            return refuse(
                "listen",
                "other machines reach this address, and the proxy asks nobody who they are; listen \
                 on 127.0.0.1, or give --allow-remote when something before it does",
            );
        }
        if self.providers.is_empty() {
            return refuse(
                "provider",
                "there is none; give --provider http://HOST:PORT",
            );
        }
        for provider in &self.providers {
            check_url(&provider.url)?;
            let log = provider.log.as_ref();
            if log.is_some_and(|log| log.copy.is_some()) && provider.service_key.is_none() {
                return refuse(
                    &provider.url,
                    "a copy of the log is read by the service's key: pin service_key too",
                );
            }
            if log.is_some() && self.state.is_none() {
                return refuse(
                    "state",
                    "a log is pinned, so the proxy must remember what it saw of it; give --state DIR",
                );
            }
        }
        let mut urls: Vec<&str> = self.providers.iter().map(|p| p.url.as_str()).collect();
        urls.sort_unstable();
        if urls.windows(2).any(|pair| pair.first() == pair.last()) {
            return refuse("provider", "one is given twice");
        }
        if self.timeout.is_zero() || self.timeout > self.max_timeout {
            return refuse("timeout", "it must be above 0 and at most 1800 seconds");
        }
        if self.provider_timeout.is_zero() {
            return refuse("provider-timeout", "it must be above 0");
        }
        if !(1..=10_000).contains(&self.concurrency) {
            return refuse("concurrency", "it must be 1 to 10000");
        }
        Ok(())
    }
}

/// Whether a provider's address can be asked: a plain `http` one without user, query or fragment.
fn check_url(url: &str) -> Result<(), ProxyError> {
    let refuse = |reason: &str| Err(ProxyError::config(url, reason));
    if url.starts_with("https:") {
        return refuse(
            "the proxy speaks plain HTTP to providers; put one that ends TLS before it, or a tunnel",
        );
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return refuse("this is no address; it is http://HOST:PORT");
    };
    let authority = uri.authority().map_or("", |a| a.as_str());
    let plain = uri.scheme_str() == Some("http")
        && !authority.is_empty()
        && !authority.contains('@')
        && uri.query().is_none()
        && !url.contains('#')
        && !url.ends_with('/');
    if plain {
        Ok(())
    } else {
        refuse("a provider's address is http://HOST:PORT, with neither user nor query")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str) -> ProxyConfig {
        ProxyConfig {
            providers: vec![ProviderConfig {
                url: url.to_owned(),
                service_key: None,
                log: None,
            }],
            ..ProxyConfig::default()
        }
    }

    fn reason(config: &ProxyConfig) -> String {
        let error = config.validate().unwrap_err();
        assert_eq!(error.code(), "proxy-config");
        error.to_string()
    }

    #[test]
    fn addresses_of_providers() {
        for good in [
            "http://127.0.0.1:8080",
            "http://a.example",
            "http://[::1]:1/x",
        ] {
            assert!(with(good).validate().is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:8080",
            "ftp://a",
            "https://a.example",
            "http://",
            "http://u:p@a",
            "http://a/?x",
            "http://a#x",
            "http://a/",
            "http://a b",
        ] {
            reason(&with(bad));
        }
    }

    #[test]
    fn what_other_machines_reach_must_be_meant() {
        let mut config = with("http://a");
        for remote in ["0.0.0.0:8081", "[::]:8081", "192.0.2.1:1"] {
            config.listen = remote.parse().unwrap();
            config.allow_remote = false;
            assert!(reason(&config).contains("--allow-remote"));
            config.allow_remote = true;
            assert!(config.validate().is_ok());
        }
        config.allow_remote = false;
        config.listen = "[::1]:0".parse().unwrap();
        assert!(config.validate().is_ok());
    }

    #[test]
    fn a_provider_stands_there_once_and_at_all() {
        assert!(reason(&ProxyConfig::default()).contains("--provider"));
        let mut twice = with("http://a");
        twice.providers.push(twice.providers[0].clone());
        assert!(reason(&twice).contains("twice"));
    }
}
