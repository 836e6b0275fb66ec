//! The listener, and what a shutdown does with what was accepted. Over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Engine, config, open_log, request};
use proofmark_server::{ServerConfig, ServerError, Service, serve};
use proofmark_store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    engine: Arc<Engine>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServerError>>,
    folder: tempfile::TempDir,
}

async fn start(drain_timeout: Duration) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("receipts.db"))
        .await
        .unwrap();
    let log = open_log(folder.path());
    let engine = Engine::new("toy", "1");
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        drain_timeout,
        queue_capacity: 8,
        ..config()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let backend = engine.clone();
    let server = tokio::spawn(async move {
        let shutdown = async move { stopped.await.unwrap() };
        serve(config, vec![backend], store, log, shutdown, |listening| {
            tell.send(listening.address).unwrap();
        })
        .await
    });
    Running {
        engine,
        address: told.await.unwrap(),
        stop,
        server,
        folder,
    }
}

/// Sends a request on a connection of its own; the whole answer as text.
fn infer(address: SocketAddr) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = request();
        let head = format!(
            "POST /v2/models/toy/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    })
}

/// Returns when so many requests wait in the queue.
async fn until_waiting(address: SocketAddr, count: usize) {
    let line = format!("\nproofmark_queue_waiting {count}\n");
    for _ in 0..500 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        if text.contains(&line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {count} requests in the queue");
}

async fn wait_for(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(what());
}

#[tokio::test]
async fn what_was_accepted_is_finished() {
    let running = start(Duration::from_secs(30)).await;
    running.engine.open(false);
    let requests: Vec<_> = (0..2).map(|_| infer(running.address)).collect();
    wait_for(|| running.engine.begun() == 1).await;
    until_waiting(running.address, 1).await;
    running.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!running.server.is_finished());
    assert!(TcpStream::connect(running.address).await.is_err());
    running.engine.open(true);
    for request in requests {
        let answer = request.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    running.server.await.unwrap().unwrap();
    assert_eq!(running.engine.begun(), 2);
    let store = Store::open(&running.folder.path().join("receipts.db"))
        .await
        .unwrap();
    let page = store.receipts_of_model("toy", None, 10).await.unwrap();
    // Both requests have the same nonce and so the same receipt.
    assert_eq!(page.receipts.len(), 1);
}

#[tokio::test]
async fn what_is_not_finished_in_time_fails_cleanly() {
    let running = start(Duration::from_millis(200)).await;
    running.engine.open(false);
    let requests: Vec<_> = (0..3).map(|_| infer(running.address)).collect();
    wait_for(|| running.engine.begun() == 1).await;
    until_waiting(running.address, 2).await;
    // A connection that never says anything must not hold the end up for longer.
    let silent = TcpStream::connect(running.address).await.unwrap();
    let began = Instant::now();
    running.stop.send(()).unwrap();
    for request in requests {
        let answer = request.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 5"), "{answer}");
        assert!(answer.contains("\"code\":\"shutting-down\""), "{answer}");
    }
    running.server.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(running.engine.begun(), 1);
    running.engine.open(true);
    drop(silent);
}

#[tokio::test]
async fn what_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("receipts.db"))
        .await
        .unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let toy = || Engine::new("toy", "1");
    let in_use = ServerConfig { listen, ..config() };
    let never = std::future::pending::<()>();
    let log = open_log(folder.path());
    let error = serve(
        in_use,
        vec![toy()],
        store.clone(),
        log.clone(),
        never,
        |_| (),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code(), "listen-failed");
    let code = async |config, backends| {
        let started = Service::new(config, backends, store.clone(), log.clone()).await;
        started.err().map(|e| e.code())
    };
    let twice = code(config(), vec![toy(), toy()]).await;
    assert_eq!(twice, Some("duplicate-model"));
    for bad in [
        ServerConfig {
            workers: 0,
            ..config()
        },
        ServerConfig {
            queue_capacity: 0,
            ..config()
        },
        ServerConfig {
            body_limit: 0,
            ..config()
        },
        ServerConfig {
            default_deadline: Duration::ZERO,
            ..config()
        },
        ServerConfig {
            max_deadline: Duration::MAX,
            ..config()
        },
        ServerConfig {
            body_timeout: Duration::ZERO,
            ..config()
        },
    ] {
        assert_eq!(code(bad, vec![toy()]).await, Some("server-config"));
    }
}

#[tokio::test]
async fn the_last_version_given_answers_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("receipts.db"))
        .await
        .unwrap();
    let (old, new) = (Engine::new("toy", "1"), Engine::new("toy", "2"));
    let log = open_log(folder.path());
    let service = Service::new(config(), vec![old.clone(), new.clone()], store, log)
        .await
        .unwrap();
    let send = async |path: &str| {
        let request = crate::support::post(path, &[], request());
        let response = tower::ServiceExt::oneshot(service.router(), request).await;
        response.unwrap().status()
    };
    assert_eq!(send("/v2/models/toy/infer").await, 200);
    assert_eq!((old.begun(), new.begun()), (0, 1));
    assert_eq!(send("/v2/models/toy/versions/1/infer").await, 200);
    assert_eq!((old.begun(), new.begun()), (1, 1));
}
