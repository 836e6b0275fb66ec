//! The proxy: models, providers, and what is remembered, behind one router.

use std::future::{Future, IntoFuture as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proofmark_http::bodies::Bodies;
use proofmark_http::catalogue::{Catalogue, Named as _};
use proofmark_http::observe::Observer;
use proofmark_http::problem::Problem;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::config::ProxyConfig;
use crate::history::Histories;
use crate::metrics::Metrics;
use crate::models::Model;
use crate::provider::Provider;
use crate::receipts::Receipts;
use crate::{ProxyError, routes};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: ProxyConfig,
    pub(crate) models: Catalogue<Model>,
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) receipts: Option<Receipts>,
    pub(crate) bodies: Bodies,
    /// Places for requests that are under way.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    /// Whether a shutdown began.
    pub(crate) closing: AtomicBool,
    /// Whether everything was ready lately.
    pub(crate) ready: Mutex<Option<(Instant, Result<(), Problem>)>>,
    /// Keeps other processes out of the state.
    _histories: Option<Histories>,
}

impl Observer for Shared {
    fn request(&self, method: &str, route: &str, status: u16) {
        self.metrics.counters().request(method, route, status);
    }

    fn problem(&self, code: &'static str) {
        self.metrics.counters().problem(code);
    }
}

impl Shared {
    fn new(config: ProxyConfig, models: Vec<Model>) -> Result<Self, ProxyError> {
        config.validate()?;
        if models.is_empty() {
            return Err(ProxyError::config(
                "package",
                "none is pinned; give --package DIR and --package-digest DIGEST",
            ));
        }
        let mut catalogue = Catalogue::new("/v2/models");
        for model in models {
            if let Err(model) = catalogue.add(model) {
                let manifest = model.manifest();
                return Err(ProxyError::config(
                    "package",
                    format!(
                        "{} version {} is given twice",
                        manifest.name, manifest.version
                    ),
                ));
            }
        }
        let state = config.state.as_deref();
        let mut histories = state.map(Histories::open).transpose()?;
        let mut providers = Vec::new();
        for provider in &config.providers {
            providers.push(Arc::new(Provider::open(provider, histories.as_mut())?));
        }
        Ok(Self {
            models: catalogue,
            providers,
            receipts: config.receipts.clone().map(Receipts::open).transpose()?,
            bodies: Bodies::new(config.body_limit, config.body_timeout),
            places: Arc::new(Semaphore::new(config.concurrency)),
            metrics: Metrics::new(),
            closing: AtomicBool::new(false),
            ready: Mutex::new(None),
            _histories: histories,
            config,
        })
    }
}

/// Serves until `shutdown` completes, then finishes what was accepted, for at most the configured
/// drain timeout. `bound` is called once with the address, before the first connection is accepted.
///
/// A question to a provider cannot be taken back: threads may wait for answers for a while after this
/// returned. Whoever ends the runtime gives them a limit.
///
/// # Errors
/// [`ProxyError`] when the proxy cannot start or its listener fails.
pub async fn serve(
    config: ProxyConfig,
    models: Vec<Model>,
    shutdown: impl Future<Output = ()>,
    bound: impl FnOnce(SocketAddr),
) -> Result<(), ProxyError> {
    let (address, drain_timeout) = (config.listen, config.drain_timeout);
    let shared = Arc::new(Shared::new(config, models)?);
    let bind_error = |source| ProxyError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    tracing::info!(%address, providers = shared.providers.len(), "listening");
    bound(address);

    let (stop, mut stopped) = watch::channel(false);
    let server =
        axum::serve(listener, routes::router(&shared)).with_graceful_shutdown(async move {
            // An error means that the sender is gone, which is a stop as well.
            drop(stopped.wait_for(|stop| *stop).await);
        });
    let mut server = std::pin::pin!(server.into_future());
    let ended = tokio::select! {
        ended = &mut server => ended,
        () = shutdown => {
            tracing::info!("shutting down");
            shared.closing.store(true, Ordering::Relaxed);
            stop.send_replace(true);
            let drained = tokio::time::timeout(drain_timeout, &mut server).await;
            if drained.is_err() {
                tracing::warn!("drain timeout passed; what is under way is dropped");
            }
            drained.unwrap_or(Ok(()))
        }
    };
    tracing::info!("stopped");
    ended.map_err(|source| ProxyError::Listener { source })
}
