//! What `/metrics` shows, in OpenMetrics text.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proofmark_http::counters::Counters;

use crate::provider::Provider;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    /// As configured: nobody else makes up a value.
    provider: String,
    /// `verified`, or the code of the failure.
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

/// The instruments of one proxy.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    counters: Counters,
    attempts: Family<AttemptLabels, Counter>,
    aside: Family<ProviderLabels, Gauge>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("proofmark_proxy");
        let (attempts, aside) = (Family::default(), Family::default());
        let counters = Counters::register(&mut registry);
        registry.register(
            "attempts",
            "Questions to providers by how they ended: verified, or the code of the failure",
            Family::clone(&attempts),
        );
        registry.register(
            "provider_aside",
            "1 while a provider is put aside",
            Family::clone(&aside),
        );
        Self {
            registry,
            counters,
            attempts,
            aside,
        }
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn attempt(&self, provider: &str, outcome: &'static str) {
        let labels = AttemptLabels {
            provider: provider.to_owned(),
            outcome,
        };
        self.attempts.get_or_create(&labels).inc();
    }

    /// The text of `/metrics`.
    pub(crate) fn render(&self, providers: &[Arc<Provider>]) -> Result<String, fmt::Error> {
        let now = Instant::now();
        for provider in providers {
            let labels = ProviderLabels {
                provider: provider.url.clone(),
            };
            let aside = i64::from(provider.aside(now).is_some());
            self.aside.get_or_create(&labels).set(aside);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
