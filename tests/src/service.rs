//! The built programs as processes: sealed packages, a running service, HTTP.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use proofmark_types::Digest;
use proofmark_types::manifest::Manifest;
use proofmark_types::problem::{PROBLEM_BASE, PROBLEM_MEDIA_TYPE, lookup};
use serde_json::Value;

use crate::samples;

/// The two models that the tests serve: name and class names.
pub const SERVED: [(&str, &str); 2] = [
    ("risk-classifier", "benign,malignant"),
    ("digits-mlp", "0,1,2,3,4,5,6,7,8,9"),
];

/// A built program of the workspace, in the folder above the test binary's.
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test binary has a path");
    let folder = own
        .parent()
        .and_then(Path::parent)
        .expect("test binaries lie in a folder of the target folder");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is missing; run the tests of the whole workspace, or `cargo build --bins` before these",
        path.display()
    );
    path
}

/// `proofmark` with these arguments, not started.
pub fn proofmark<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(program("proofmark"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; −1 for a signal.
    pub exit: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// The last line of the standard output, as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        let last = self.stdout.trim_end().lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks exit code and problem code of a command run with `--json`; gives the detail.
    ///
    /// # Panics
    /// When they differ.
    pub fn refused(&self, exit: i32, code: &str) -> String {
        assert_eq!(self.exit, exit, "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["type"], format!("{PROBLEM_BASE}{code}"), "{self:?}");
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be started.
pub fn run(command: &mut Command) -> Ended {
    command.output().expect("the program starts").into()
}

/// Imports and seals a model of `models/`.
///
/// # Panics
/// When a step fails.
pub fn seal(name: &str, labels: &str, visibility: &[&str], work: &Path, out: &Path) {
    let folder = samples::folder(name);
    let draft = work.join(format!("{name}.draft"));
    let path = |file: &str| folder.join(file).display().to_string();
    let (model, calibration) = (path("float.onnx"), path("calibration.npz"));
    let (draft, out) = (draft.display().to_string(), out.display().to_string());
    let mut import = vec![
        "import",
        &model,
        "--calibration",
        &calibration,
        "--name",
        name,
        "--labels",
        labels,
        "--out",
        &draft,
        "--json",
    ];
    for policy in visibility {
        import.extend(["--visibility", policy]);
    }
    let imported = run(&mut proofmark(&import));
    assert_eq!(imported.exit, 0, "{imported:?}");
    let sealed = run(&mut proofmark(&["setup", &draft, "--out", &out, "--json"]));
    assert_eq!(sealed.exit, 0, "{sealed:?}");
}

/// A folder with the sealed packages of [`SERVED`]. They are made once for each build of the
/// program, as every test may be a process of its own.
///
/// # Panics
/// When they cannot be made.
pub fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let program = program("proofmark");
        let built = fs::metadata(&program).expect("the program is there");
        let stamp = built
            .modified()
            .expect("a time of building")
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos();
        let parent = program
            .parent()
            .expect("a folder")
            .join("service-test-packages");
        let made = parent.join(format!("{stamp}-{}", built.len()));
        if made.is_dir() {
            return made;
        }
        // Those of earlier builds are of no use any more.
        if let Ok(earlier) = fs::read_dir(&parent) {
            let is_old = |age: Duration| age > Duration::from_secs(3600);
            for folder in earlier.flatten().map(|entry| entry.path()) {
                let modified = fs::metadata(&folder).and_then(|m| m.modified());
                if modified.is_ok_and(|at| at.elapsed().is_ok_and(is_old)) {
                    fs::remove_dir_all(folder).ok();
                }
            }
        }
        fs::create_dir_all(&parent).expect("a folder beside the program");
        let work = tempfile::tempdir_in(&parent).expect("a folder");
        let whole = work.path().join("packages");
        for (name, labels) in SERVED {
            seal(name, labels, &[], work.path(), &whole.join(name));
        }
        // Whole or not at all; whoever comes second takes what the first made.
        if let Err(error) = fs::rename(&whole, &made) {
            assert!(made.is_dir(), "cannot keep the packages: {error}");
        }
        made
    })
}

/// Copies a package, so that it can be damaged or served alone.
///
/// # Panics
/// When a file cannot be copied.
pub fn copy_package(name: &str, to: &Path) -> PathBuf {
    let out = to.join(name);
    fs::create_dir_all(&out).expect("a folder");
    for entry in fs::read_dir(packages().join(name)).expect("a package") {
        let file = entry.expect("a file").path();
        fs::copy(&file, out.join(file.file_name().expect("a name"))).expect("copies");
    }
    out
}

/// A folder that holds this package alone.
///
/// # Panics
/// When it cannot be made.
pub fn only(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy_package(name, folder.path());
    folder
}

/// The public part of a package, as whoever receives a receipt has it.
#[derive(Debug, Clone)]
pub struct Public {
    /// Path of the manifest.
    pub manifest_path: PathBuf,
    /// Its bytes.
    pub manifest_bytes: Vec<u8>,
    /// Path of the verifying key.
    pub key_path: PathBuf,
    /// Its bytes.
    pub key_bytes: Vec<u8>,
    /// The package digest, which is what is pinned.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
}

impl Public {
    /// Reads a package's folder.
    ///
    /// # Panics
    /// When it is no package.
    pub fn read(folder: &Path) -> Self {
        let manifest_path = folder.join("manifest.json");
        let key_path = folder.join("verifying_key.bin");
        let manifest_bytes = fs::read(&manifest_path).expect("a manifest");
        Self {
            key_bytes: fs::read(&key_path).expect("a verifying key"),
            digest: Digest::of(&manifest_bytes),
            manifest: Manifest::parse(&manifest_bytes).expect("a manifest in strict form"),
            manifest_path,
            manifest_bytes,
            key_path,
        }
    }

    /// One of [`SERVED`].
    ///
    /// # Panics
    /// As [`Public::read`].
    pub fn of(name: &str) -> Self {
        Self::read(&packages().join(name))
    }

    /// Runs `proofmark-verify` on a receipt.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn verify(&self, receipt: &Path, more: &[&str]) -> Ended {
        run(self.verify_command(receipt).args(more))
    }

    /// `proofmark-verify` on a receipt, not started.
    pub fn verify_command(&self, receipt: &Path) -> Command {
        let mut command = Command::new(program("proofmark-verify"));
        command
            .arg(receipt)
            .args(["--package-digest", &self.digest.to_string()])
            .arg("--manifest")
            .arg(&self.manifest_path)
            .arg("--verifying-key")
            .arg(&self.key_path)
            .arg("--json");
        command
    }

    /// The request for some held-out sample of the model, as floats.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn request(&self, sample: usize) -> Value {
        let (samples, _) = samples::heldout(&self.manifest.name);
        let spec = &self.manifest.inputs[0];
        serde_json::json!({
            "inputs": [{
                "name": spec.name,
                "shape": spec.shape,
                "datatype": "FP32",
                "data": samples[sample],
            }],
        })
    }
}

/// An answer of the service.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks that this is a well-formed problem with this status and code; gives its detail with
    /// the details of all faults.
    ///
    /// # Panics
    /// When it is not.
    pub fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some(PROBLEM_MEDIA_TYPE));
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("{PROBLEM_BASE}{code}"));
        assert_eq!(body["status"], status);
        let (_, title) = lookup(code).expect("the code is listed");
        assert_eq!(body["title"], title);
        assert_eq!(body["error"], body["detail"]);
        assert_eq!(body["instance"].as_str(), self.header("x-request-id"));
        let faults = body["errors"].as_array().cloned().unwrap_or_default();
        faults
            .iter()
            .map(|fault| fault["detail"].as_str().expect("a detail").to_owned())
            .fold(
                body["detail"].as_str().expect("a detail").to_owned(),
                |all, detail| format!("{all}; {detail}"),
            )
    }

    /// The receipt's identifier in a proven answer.
    ///
    /// # Panics
    /// When this is no proven answer.
    pub fn receipt_id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        let body = self.json();
        assert_eq!(body["parameters"]["proof_status"], "verified");
        let id = &body["parameters"]["receipt_id"];
        id.as_str().expect("a receipt id").to_owned()
    }
}

/// A running `proofmark serve`; killed when dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    url: String,
    log_key: String,
    log: PathBuf,
    agent: ureq::Agent,
}

/// What a service is started with.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// `--packages`.
    pub packages: &'a Path,
    /// `--data`.
    pub data: &'a Path,
    /// More arguments.
    pub more: &'a [&'a str],
}

impl Start<'_> {
    /// The command line.
    pub fn command(&self) -> Command {
        let mut command = proofmark(&["serve", "--json"]);
        command.arg("--packages").arg(self.packages);
        command.arg("--data").arg(self.data);
        if !self.more.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(self.more);
        command
    }
}

impl Service {
    /// Starts a service and waits until it listens. Its log is `service.log` in the data folder.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(start: Start<'_>) -> Self {
        fs::create_dir_all(start.data).expect("a data folder");
        Self::spawn(start.command(), &start.data.join("service.log"))
            .unwrap_or_else(|ended| panic!("the service does not listen: {ended:?}"))
    }

    /// Starts a service by a command of one's own and waits until it listens; its log is appended to
    /// the file given.
    ///
    /// # Errors
    /// How it ended instead.
    ///
    /// # Panics
    /// When the program or its log cannot be had.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self, Ended> {
        let mut options = File::options();
        let file = options.create(true).append(true).open(log).expect("a log");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, receiver) = mpsc::channel();
        let reading = thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(url) = event["listening"].as_str() {
                    let log_key = event["log_key"].as_str().unwrap_or_default();
                    sender.send((url.to_owned(), log_key.to_owned())).ok();
                }
                said.push_str(&line);
                said.push('\n');
            }
            said
        });
        let heard = receiver.recv_timeout(Duration::from_secs(60));
        if heard == Err(mpsc::RecvTimeoutError::Timeout) {
            child.kill().ok();
        }
        let Ok((url, log_key)) = heard else {
            let status = child.wait().expect("a child");
            return Err(Ended {
                exit: status.code().unwrap_or(-1),
                stdout: reading.join().expect("the output is read"),
                stderr: fs::read_to_string(log).unwrap_or_default(),
            });
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Ok(Self {
            child,
            url,
            log_key,
            log: log.to_owned(),
            agent,
        })
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its address, `http://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The public key of its transparency log, as `--log-key` takes it.
    pub fn log_key(&self) -> &str {
        &self.log_key
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `GET`.
    ///
    /// # Panics
    /// Without an answer.
    pub fn get(&self, path: &str) -> Reply {
        let request = self.agent.get(format!("{}{path}", self.url));
        reply(request.call()).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// `POST` of JSON with header fields, or why there is no answer.
    ///
    /// # Errors
    /// The client's.
    pub fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(request.send(body))
    }

    /// `POST` of JSON.
    ///
    /// # Panics
    /// Without an answer.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.try_post(path, &[], &body.to_string())
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// An inference.
    ///
    /// # Panics
    /// Without an answer.
    pub fn infer(&self, model: &str, body: &Value) -> Reply {
        self.post(&format!("/v2/models/{model}/infer"), body)
    }

    /// Bytes of a stored receipt.
    ///
    /// # Panics
    /// When it is not there.
    pub fn receipt(&self, id: &str) -> Vec<u8> {
        let reply = self.get(&format!("/v1/receipts/{id}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.body
    }

    /// Sends bytes as they are and reads until the service closes or has said a whole answer.
    ///
    /// # Panics
    /// When there is no connection or no answer.
    pub fn raw(&self, request: &[u8]) -> Reply {
        let address = self.url.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout");
        // The service may answer and close before it has read everything.
        stream.write_all(request).ok();
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            if let Some(reply) = whole_reply(&bytes) {
                return reply;
            }
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => {
                    panic!("no whole answer: {:?}", String::from_utf8_lossy(&bytes))
                }
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// A value of `/metrics`, 0 where the series is not there yet.
    ///
    /// # Panics
    /// When the metrics cannot be read.
    pub fn metric(&self, series: &str) -> u64 {
        let reply = self.get("/metrics");
        assert_eq!(reply.status, 200);
        reply
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0)
    }

    /// How many answers had this problem.
    ///
    /// # Panics
    /// As [`Service::metric`].
    pub fn problems(&self, code: &str) -> u64 {
        self.metric(&format!("proofmark_problems_total{{code=\"{code}\"}}"))
    }

    /// How many proofs of a model were stored.
    ///
    /// # Panics
    /// As [`Service::metric`].
    pub fn proofs(&self, model: &str) -> u64 {
        self.metric(&format!("proofmark_proofs_total{{model=\"{model}\"}}"))
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// When it does not within half a minute.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < Duration::from_secs(30), "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the service lives, is ready and proves.
    ///
    /// # Panics
    /// When it does not.
    pub fn assert_healthy(&self, model: &Public) {
        assert_eq!(self.get("/v2/health/live").status, 200);
        assert_eq!(self.get("/v2/health/ready").status, 200);
        let answer = self.infer(&model.manifest.name, &model.request(1));
        answer.receipt_id();
        assert_eq!(self.metric("proofmark_panics_total"), 0);
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// When `kill` fails.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends SIGKILL.
    ///
    /// # Panics
    /// When `kill` fails.
    pub fn kill(&self) {
        self.signal("-KILL");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the process to end; its exit code.
    ///
    /// # Panics
    /// When it does not end within 45 seconds.
    pub fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(
                start.elapsed() < Duration::from_secs(45),
                "the service does not end: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn reply(
    answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Reply, ureq::Error> {
    let mut response = answered?;
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    Ok(Reply {
        status: response.status().as_u16(),
        headers,
        body: response.body_mut().read_to_vec()?,
    })
}

/// An answer of HTTP/1.1 with `Content-Length`, once all of it is there.
fn whole_reply(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(Some(0), |(_, value)| value.parse().ok())?;
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(Reply {
        status,
        headers,
        body,
    })
}
