//! The service: models, queue, workers and store behind one router.

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
use crate::http::BODIES_AT_ONCE;
use crate::idempotency::Keys;
use crate::metrics::Metrics;
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
    pub(crate) metrics: Metrics,
    pub(crate) keys: Keys,
    /// Bytes of request bodies that may still be taken into memory.
    pub(crate) room: Arc<Semaphore>,
    /// Turns true when the drain is aborted: whoever waits for a running proof waits no more.
    pub(crate) aborted: watch::Sender<bool>,
    pub(crate) runtime: Handle,
    pub(crate) openapi: String,
}

/// A running service without a listener. Dropping it fails what waits.
pub struct Service {
    shared: Arc<Shared>,
}

impl Service {
    /// Checks the settings and the packages and starts the proving threads. To be called inside a
    /// tokio runtime, which must outlive the service.
    ///
    /// # Errors
    /// [`ServerError`], before any thread is started for all but the last variant.
    pub fn new(
        config: ServerConfig,
        backends: Vec<Arc<dyn ProvingBackend>>,
        store: Store,
    ) -> Result<Self, ServerError> {
        config.validate()?;
        let registry = Registry::new(backends)?;
        let queue = Arc::new(Queue::new(
            config.queue_capacity,
            config.workers,
            registry.classes(),
        ));
        let workers = config.workers;
        let room = BODIES_AT_ONCE * config.body_limit;
        let shared = Arc::new(Shared {
            config,
            registry,
            queue,
            store,
            metrics: Metrics::new(),
            keys: Keys::default(),
            room: Arc::new(Semaphore::new(room)),
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

/// Serves until `shutdown` completes, then finishes what was accepted, for at most the configured
/// drain timeout; what is not done by then is answered `shutting-down`.
///
/// `bound` is called once with the address that is listened on, before the first connection is
/// accepted.
///
/// # Errors
/// [`ServerError`] when the service cannot start or its listener fails.
pub async fn serve(
    config: ServerConfig,
    backends: Vec<Arc<dyn ProvingBackend>>,
    store: Store,
    shutdown: impl Future<Output = ()>,
    bound: impl FnOnce(SocketAddr),
) -> Result<(), ServerError> {
    let address = config.listen;
    let drain_timeout = config.drain_timeout;
    let service = Service::new(config, backends, store.clone())?;
    let bind_error = |source| ServerError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    tracing::info!(%address, models = service.shared.registry.classes(), "listening");
    bound(address);

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
