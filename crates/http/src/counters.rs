//! What every HTTP face counts of its answers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Media type of OpenMetrics text.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    /// The route's pattern, never the path: a client cannot make up label values.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

/// Answers by route and status, and problems by code.
#[derive(Debug, Default)]
pub struct Counters {
    requests: Family<RequestLabels, Counter>,
    problems: Family<CodeLabels, Counter>,
}

impl Counters {
    /// Counters that the registry shows.
    pub fn register(registry: &mut Registry) -> Self {
        let counters = Self::default();
        registry.register(
            "requests",
            "HTTP requests answered",
            counters.requests.clone(),
        );
        registry.register(
            "problems",
            "Requests answered with a problem, by its code",
            counters.problems.clone(),
        );
        counters
    }

    /// Counts an answered request.
    pub fn request(&self, method: &str, route: &str, status: u16) {
        let labels = RequestLabels {
            method: method.to_owned(),
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a problem.
    pub fn problem(&self, code: &'static str) {
        self.problems.get_or_create(&CodeLabels { code }).inc();
    }
}
