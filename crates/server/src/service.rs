//! The service: models, queue, workers, store and log behind one router.

use std::future::{Future, IntoFuture as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use proofmark_store::Store;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::backend::ProvingBackend;
use crate::bodies::Bodies;
use crate::idempotency::Keys;
use crate::journal::{Journal, TransparencyLog};
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::publish::MAX_AT_ONCE;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::worker::Job;
use crate::{ServerConfig, ServerError, routes, worker};

/// Time that open connections have, after an aborted drain, to deliver their last answers.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// What handlers and workers share.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) registry: Registry,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) store: Store,
    pub(crate) log: Arc<Journal>,
    /// Places for results that are being made durable.
    pub(crate) publishing: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) keys: Keys,
    pub(crate) bodies: Bodies,
    /// Turns true when the drain is aborted: whoever waits for a running proof waits no more.
    pub(crate) aborted: watch::Sender<bool>,
    pub(crate) runtime: Handle,
    pub(crate) openapi: String,
}

impl Observer for Shared {
    fn request(&self, method: &str, route: &str, status: u16) {
        self.metrics.request(method, route, status);
    }

    fn problem(&self, code: &'static str) {
        self.metrics.problem(code);
        if code == "internal-panic" {
            self.metrics.panic();
        }
    }
}

/// A running service without a listener. Dropping it fails what waits.
pub struct Service {
    shared: Arc<Shared>,
}

impl Service {
    /// Checks the settings and the packages, opens the log, logs what is stored and not logged, and
    /// starts the proving threads. The tokio runtime that this is awaited in must outlive the service.
    ///
    /// # Errors
    /// [`ServerError`], before any thread is started for all but [`ServerError::Thread`].
    pub async fn new(
        config: ServerConfig,
        backends: Vec<Arc<dyn ProvingBackend>>,
        store: Store,
        log: TransparencyLog,
    ) -> Result<Self, ServerError> {
        config.validate()?;
        let registry = Registry::new(backends)?;
        let queue = Arc::new(Queue::new(
            config.queue_capacity,
            config.workers,
            registry.classes(),
        ));
        let workers = config.workers;
        let bodies = Bodies::new(config.body_limit, config.body_timeout);
        let log = Journal::start(log, store.clone()).await?;
        let shared = Arc::new(Shared {
            config,
            registry,
            queue,
            store,
            log,
            publishing: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            metrics: Metrics::new(),
            keys: Keys::default(),
            bodies,
            aborted: watch::Sender::new(false),
            runtime: Handle::current(),
            openapi: routes::openapi_json(),
        });
        let service = Self { shared };
        for index in 0..workers {
            let shared = Arc::clone(&service.shared);
            // A thread of its own and not one of tokio's: a proof that outlives the drain must
            // not keep the runtime, and with it the process, from ending.
            thread::Builder::new()
                .name(format!("prove-{index}"))
                .spawn(move || worker::run(&shared))
                .map_err(|source| ServerError::Thread { source })?;
        }
        Ok(service)
    }

    /// The router, to be served or called in process.
    pub fn router(&self) -> Router {
        routes::router(&self.shared)
    }

    /// Places for files of packages that are being sent.
    pub fn downloads(&self) -> &Semaphore {
        self.shared.registry.downloads()
    }

    /// Takes no new work from here on; `/v2/health/ready` says so.
    pub fn close(&self) {
        self.shared.queue.close();
    }

    /// Returns when everything accepted is done.
    pub async fn idle(&self) {
        self.shared.queue.idle().await;
    }

    /// Fails what waits and whoever waits for a running proof, with `shutting-down`.
    pub fn abort(&self) {
        self.shared.queue.abort();
        self.shared.aborted.send_replace(true);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.abort();
    }
}

/// What a service says once it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The transparency log's public key, as signed notes write it: what verifiers pin.
    pub log_key: String,
}

/// Serves until `shutdown` completes, then finishes what was accepted, for at most the configured
/// drain timeout; what is not done by then is answered `shutting-down`.
///
/// `bound` is called once, before the first connection is accepted.
///
/// # Errors
/// [`ServerError`] when the service cannot start or its listener fails.
pub async fn serve(
    config: ServerConfig,
    backends: Vec<Arc<dyn ProvingBackend>>,
    store: Store,
    log: TransparencyLog,
    shutdown: impl Future<Output = ()>,
    bound: impl FnOnce(Listening),
) -> Result<(), ServerError> {
    let address = config.listen;
    let drain_timeout = config.drain_timeout;
    let service = Service::new(config, backends, store.clone(), log).await?;
    let bind_error = |source| ServerError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    tracing::info!(%address, models = service.shared.registry.classes(), "listening");
    bound(Listening {
        address,
        log_key: service.shared.log.verifier_key().to_owned(),
    });

    let (stop, mut stopped) = watch::channel(false);
    let server = axum::serve(listener, service.router()).with_graceful_shutdown(async move {
        // An error means that the sender is gone, which is a stop as well.
        if stopped.wait_for(|stop| *stop).await.is_err() {
            tracing::debug!("stop signal dropped");
        }
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended.map_err(|source| ServerError::Listener { source }),
        () = shutdown => {}
    }

    let (waiting, running) = service.shared.queue.depth();
    tracing::info!(waiting, running, "shutting down");
    service.close();
    stop.send_replace(true);
    let drained = tokio::time::timeout(drain_timeout, async {
        let (ended, ()) = tokio::join!(&mut server, service.idle());
        ended
    });
    let ended = if let Ok(ended) = drained.await {
        ended
    } else {
        let (waiting, running) = service.shared.queue.depth();
        tracing::warn!(
            waiting,
            running,
            "drain timeout passed; failing what is left"
        );
        service.abort();
        tokio::time::timeout(ABORT_GRACE, &mut server)
            .await
            .unwrap_or(Ok(()))
    };
    store.close().await;
    tracing::info!("stopped");
    ended.map_err(|source| ServerError::Listener { source })
}
