//! Providers that lie: an HTTP server that asks a true service and changes what it says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What was asked.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn is_inference(&self) -> bool {
        self.path.ends_with("/infer")
    }
}

/// What is answered.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Time before each of the body's last bytes.
    pub(crate) drip: Option<Duration>,
}

impl Told {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            drip: None,
        }
    }
}

type Answers = dyn Fn(&Asked) -> Told + Send + Sync;

/// A server on a port of its own. It ends with the test's process.
pub(crate) struct Liar {
    url: String,
    inferences: Arc<AtomicUsize>,
}

impl Liar {
    pub(crate) fn start(answers: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inferences = Arc::new(AtomicUsize::new(0));
        let answers: Arc<Answers> = Arc::new(answers);
        let counter = Arc::clone(&inferences);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, counter) = (Arc::clone(&answers), Arc::clone(&counter));
                // Who is asked leaves when the proxy does.
                thread::spawn(move || serve(stream, &*answers, &counter));
            }
        });
        Self { url, inferences }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many inferences it was asked for.
    pub(crate) fn inferences(&self) -> usize {
        self.inferences.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, answers: &Answers, inferences: &AtomicUsize) -> Option<()> {
    let asked = read(&stream)?;
    if asked.is_inference() {
        inferences.fetch_add(1, Ordering::SeqCst);
    }
    let told = answers(&asked);
    let mut stream = stream;
    let mut head = format!(
        "HTTP/1.1 {} X\r\nconnection: close\r\ncontent-length: {}\r\n",
        told.status,
        told.body.len()
    );
    for (name, value) in &told.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    match told.drip {
        None => stream.write_all(&told.body).ok(),
        Some(pause) => told.body.iter().try_for_each(|byte| {
            thread::sleep(pause);
            stream.write_all(&[*byte]).ok()
        }),
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, body })
}

/// Asks a true service the same.
pub(crate) fn forward(url: &str, asked: &Asked) -> Told {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let address = format!("{url}{}", asked.path);
    let answered = if asked.method == "POST" {
        let request = agent.post(&address);
        request
            .header("content-type", "application/json")
            .send(&asked.body[..])
    } else {
        agent.get(&address).call()
    };
    match answered {
        Err(error) => Told::new(502, error.to_string()),
        Ok(mut response) => Told::new(
            response.status().as_u16(),
            response.body_mut().read_to_vec().unwrap_or_default(),
        ),
    }
}
