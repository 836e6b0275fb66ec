//! What `/metrics` shows, in OpenMetrics text. The registry is passed by value: nothing global.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::backend::Timings;
use crate::counters::Counters;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

type Seconds = Family<ModelLabels, Histogram, fn() -> Histogram>;

fn seconds() -> Histogram {
    // 1 ms to about 2 minutes.
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

/// The instruments of one service.
pub(crate) struct Metrics {
    registry: Registry,
    counters: Counters,
    proofs: Family<ModelLabels, Counter>,
    runtime: Seconds,
    witness: Seconds,
    proving: Seconds,
    verifying: Seconds,
    queued: Seconds,
    logged: Seconds,
    panics: Counter,
    withdrawn: Counter,
    waiting: Gauge,
    running: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let family = || Seconds::new_with_constructor(seconds);
        let mut registry = Registry::with_prefix("proofmark");
        let mut metrics = Self {
            counters: Counters::register(&mut registry),
            registry,
            proofs: Family::default(),
            runtime: family(),
            witness: family(),
            proving: family(),
            verifying: family(),
            queued: family(),
            logged: family(),
            panics: Counter::default(),
            withdrawn: Counter::default(),
            waiting: Gauge::default(),
            running: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "proofs",
            "Results proven, verified, stored and logged",
            metrics.proofs.clone(),
        );
        registry.register(
            "panics",
            "Proving jobs and handlers that panicked; should be zero",
            metrics.panics.clone(),
        );
        registry.register(
            "jobs_withdrawn",
            "Jobs dropped before they began: deadline passed or client gone",
            metrics.withdrawn.clone(),
        );
        registry.register(
            "queue_waiting",
            "Jobs that wait for a worker",
            metrics.waiting.clone(),
        );
        registry.register(
            "queue_running",
            "Jobs being proven",
            metrics.running.clone(),
        );
        for (name, help, family) in [
            ("runtime", "Time in ONNX Runtime", &metrics.runtime),
            (
                "witness",
                "Time for evaluator and witness",
                &metrics.witness,
            ),
            ("proving", "Time for the proof", &metrics.proving),
            (
                "verifying",
                "Time to verify the proof made",
                &metrics.verifying,
            ),
            (
                "queued",
                "Time from acceptance to a worker",
                &metrics.queued,
            ),
            (
                "logging",
                "Time until the log's entry was durable and signed",
                &metrics.logged,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        }
        metrics
    }

    /// Counts an answered request.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16) {
        self.counters.request(method, route, status);
    }

    /// Counts a problem.
    pub(crate) fn problem(&self, code: &'static str) {
        self.counters.problem(code);
    }

    /// Counts a proof that was stored and logged, with its durations.
    pub(crate) fn proof(&self, model: &str, queued: Duration, timings: &Timings, logged: Duration) {
        let labels = ModelLabels {
            model: model.to_owned(),
        };
        self.proofs.get_or_create(&labels).inc();
        for (family, took) in [
            (&self.runtime, timings.runtime),
            (&self.witness, timings.witness),
            (&self.proving, timings.proving),
            (&self.verifying, timings.verifying),
            (&self.queued, queued),
            (&self.logged, logged),
        ] {
            family.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// Counts a panic that was caught.
    pub(crate) fn panic(&self) {
        self.panics.inc();
    }

    /// Counts a job that was dropped before it began.
    pub(crate) fn withdrawn(&self) {
        self.withdrawn.inc();
    }

    /// The text of `/metrics`, with the queue's depth as it is now.
    pub(crate) fn render(
        &self,
        (waiting, running): (usize, u32),
    ) -> Result<String, std::fmt::Error> {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.running.set(i64::from(running));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
