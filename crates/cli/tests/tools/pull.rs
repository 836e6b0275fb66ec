//! pull, from services that lie, stop, or do not end.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json as object};

use crate::support::{MODEL, Ran, Sealed, json, run};

/// A request: its path without the query, and the first byte that its range asks for.
struct Asked {
    path: String,
    from: usize,
    last: usize,
}

/// Writes one answer.
type Answer = Box<dyn Fn(&Asked, &mut TcpStream) + Send>;

/// A service of one's own, and what it was asked.
fn serve(answer: Answer) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut request = Asked {
                path: target.split('?').next().unwrap_or_default().to_owned(),
                from: 0,
                last: usize::MAX,
            };
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    let (from, last) = range.trim().split_once('-').unwrap();
                    request.from = from.parse().unwrap();
                    request.last = last.parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            seen.lock()
                .unwrap()
                .push(format!("{} {}", request.path, request.from));
            answer(&request, &mut stream);
        }
    });
    (url, asked)
}

/// Writes an answer as far as its reader takes it.
fn give(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(body).ok();
}

/// The list of models, and what else is not a file of the package.
fn list(digest: &str, version: &str) -> Vec<u8> {
    let model = object!({"name": MODEL, "version": version, "package_digest": digest});
    object!({ "models": [model] }).to_string().into_bytes()
}

/// The file of a package that a path asks for.
fn file(package: &Path, path: &str) -> Option<Vec<u8>> {
    let name = match path.rsplit_once('/')?.1 {
        "manifest" => "manifest.json",
        name => name,
    };
    fs::read(package.join(name)).ok()
}

/// Answers as an honest service does.
fn honest(package: &Path, digest: &str, asked: &Asked, stream: &mut TcpStream) {
    if asked.path == "/v1/models" {
        return give(stream, "200 OK", &list(digest, "1"));
    }
    let bytes = file(package, &asked.path).unwrap();
    if asked.path.ends_with("/manifest") {
        return give(stream, "200 OK", &bytes);
    }
    let last = asked.last.min(bytes.len() - 1);
    let head = format!(
        "206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {}-{last}/{}",
        last + 1 - asked.from,
        asked.from,
        bytes.len()
    );
    give(stream, &head, &bytes[asked.from..=last]);
}

struct Setting {
    sealed: Sealed,
}

impl Setting {
    fn new() -> Self {
        Self {
            sealed: Sealed::sample(),
        }
    }

    /// A service that answers as an honest one but where `lie` gives something else.
    fn service(
        &self,
        lie: impl Fn(&Asked, &mut TcpStream) -> bool + Send + 'static,
    ) -> (String, Arc<Mutex<Vec<String>>>) {
        let (package, digest) = (self.sealed.package(), self.sealed.digest.clone());
        serve(Box::new(move |asked, stream| {
            if !lie(asked, stream) {
                honest(Path::new(&package), &digest, asked, stream);
            }
        }))
    }

    fn pull(&self, url: &str) -> Ran {
        self.pull_as(url, &self.sealed.digest, &[])
    }

    fn pull_as(&self, url: &str, digest: &str, more: &[&str]) -> Ran {
        let out = self.sealed.file("pulled");
        let arguments = [
            "pull",
            "--url",
            url,
            "--model",
            MODEL,
            "--package-digest",
            digest,
            "--out",
            &out,
        ];
        json(&[&arguments[..], more].concat())
    }

    /// Nothing but perhaps parts, in their own folder.
    fn nothing(&self) {
        assert!(!Path::new(&self.sealed.file("pulled")).exists());
        let root = Path::new(&self.sealed.file("x"))
            .parent()
            .unwrap()
            .to_owned();
        for entry in fs::read_dir(root).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "packages" || name.ends_with(".partial"), "{name}");
        }
    }
}

#[test]
fn an_interrupted_download_goes_on_and_ends_whole() {
    let setting = Setting::new();
    // The proving key's first answer ends in the middle, and so does its connection.
    let times = AtomicUsize::new(0);
    let package = setting.sealed.package();
    let (url, asked) = setting.service(move |asked, stream| {
        let cut = asked.path.ends_with("proving_key.bin");
        if !cut || times.fetch_add(1, Ordering::SeqCst) > 0 {
            return false;
        }
        let bytes = file(Path::new(&package), &asked.path).unwrap();
        let length = bytes.len();
        let head = format!(
            "206 Partial Content\r\ncontent-length: {length}\r\ncontent-range: bytes 0-{}/{length}",
            length - 1
        );
        give(stream, &head, &bytes[..length / 2]);
        true
    });
    let pulled = setting.pull(&url).ended(0, "").json();
    assert_eq!(pulled["package_digest"], setting.sealed.digest);
    assert_eq!(pulled["fetched"], pulled["bytes"], "no byte came twice");
    let key: Vec<usize> = asked
        .lock()
        .unwrap()
        .iter()
        .filter_map(|a| a.split_once("proving_key.bin ")?.1.parse().ok())
        .collect();
    assert_eq!(key.len(), 2);
    assert!(key[0] == 0 && key[1] > 0, "{key:?}");
    // It is a package: it proves.
    let out = setting.sealed.file("pulled");
    let receipt = setting.sealed.file("r.json");
    let input = crate::support::sample_file("heldout.npz");
    let arguments = ["prove", "--package", &out, "--input", &input];
    let more = ["--sample", "0", "--receipt", &receipt];
    json(&[&arguments[..], &more[..]].concat()).ended(0, "");
}

#[test]
fn a_second_run_asks_only_for_what_is_missing() {
    let setting = Setting::new();
    let (url, _) = setting.service(|asked, stream| {
        let refused = asked.path.ends_with("transcript.json");
        if refused {
            give(stream, "404 Not Found", b"{\"code\":\"not-found\"}");
        }
        refused
    });
    setting.pull(&url).ended(2, "not-found");
    setting.nothing();
    let (url, asked) = setting.service(|_, _| false);
    setting.pull(&url).ended(0, "");
    let asked = asked.lock().unwrap().clone();
    let files: Vec<_> = asked.iter().filter(|a| a.contains("/package/")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].ends_with("transcript.json 0"));
}

#[test]
fn what_is_not_the_pinned_package_never_becomes_one() {
    let setting = Setting::new();
    let refused = |code: i32, problem: &str, lie: fn(&Asked, &mut TcpStream) -> bool| {
        let (url, _) = setting.service(lie);
        setting.pull(&url).ended(code, problem);
        setting.nothing();
    };
    // A manifest that is another one.
    refused(1, "package-not-pinned", |asked, stream| {
        let lie = asked.path.ends_with("/manifest");
        if lie {
            give(stream, "200 OK", b"{}");
        }
        lie
    });
    // A list without the package; one whose version leads elsewhere; one without end.
    refused(1, "package-not-pinned", |asked, stream| {
        let lie = asked.path == "/v1/models";
        if lie {
            give(stream, "200 OK", b"{\"models\":[]}");
        }
        lie
    });
    let digest = setting.sealed.digest.clone();
    let (url, asked) = setting.service(move |asked, stream| {
        let lie = asked.path == "/v1/models";
        if lie {
            give(stream, "200 OK", &list(&digest, "1&x=../../secret"));
        }
        lie
    });
    setting.pull(&url).ended(1, "answer-malformed");
    assert_eq!(asked.lock().unwrap().len(), 1, "nothing more is asked");
    refused(1, "answer-malformed", |asked, stream| {
        let lie = asked.path == "/v1/models";
        if lie {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
            while stream.write_all(&[b' '; 1 << 13]).is_ok() {}
        }
        lie
    });
    // A file with a wrong byte: thrown away, so that the next run fetches it anew.
    refused(1, "package-file-digest", |asked, stream| {
        let lie = asked.path.ends_with("verifying_key.bin");
        if lie {
            let length = asked.last + 1;
            let head = format!(
                "206 Partial Content\r\ncontent-length: {length}\r\n\
                 content-range: bytes 0-{}/{length}",
                asked.last
            );
            give(stream, &head, &vec![7; length]);
        }
        lie
    });
    // A file without end, and one that ends too late.
    for late in [false, true] {
        let (url, _) = setting.service(move |asked, stream| {
            let lie = asked.path.ends_with("verifying_key.bin");
            if lie && late {
                give(stream, "200 OK", &vec![7; asked.last + 2]);
            } else if lie {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
                while stream.write_all(&[7; 1 << 13]).is_ok() {}
            }
            lie
        });
        setting.pull(&url).ended(1, "package-file-digest");
        setting.nothing();
    }
    // Another part than was asked for.
    refused(1, "answer-malformed", |asked, stream| {
        let lie = asked.path.ends_with("verifying_key.bin");
        if lie {
            let head = "206 Partial Content\r\ncontent-length: 1\r\ncontent-range: bytes 5-5/9";
            give(stream, head, b"x");
        }
        lie
    });
    // Elsewhere.
    let (elsewhere, asked) = setting.service(|_, _| false);
    let (url, _) = setting.service(move |asked, stream| {
        let head = format!("302 Found\r\nlocation: {elsewhere}{}", asked.path);
        give(stream, &head, b"");
        true
    });
    setting.pull(&url).ended(2, "service-refused");
    assert!(asked.lock().unwrap().is_empty(), "no redirect is followed");
    setting.nothing();
    // After all of that an honest service is enough.
    let (url, _) = setting.service(|_, _| false);
    setting.pull(&url).ended(0, "");
}

#[test]
fn a_service_that_stops_is_given_up_with_a_reason() {
    let setting = Setting::new();
    // Connections that bring nothing.
    let (url, asked) = setting.service(|asked, _| asked.path.contains("/package/"));
    setting.pull(&url).ended(3, "service-unreachable");
    let asked = asked.lock().unwrap().clone();
    let files = asked.iter().filter(|a| a.contains("/package/")).count();
    assert_eq!(files, 5, "it is tried again, and not for ever");
    setting.nothing();
    let (url, _) = setting.service(|_, stream| {
        let busy = b"{\"code\":\"downloads-busy\",\"detail\":\"later\"}";
        give(stream, "503 Service Unavailable", busy);
        true
    });
    setting.pull(&url).ended(3, "downloads-busy");
}

#[test]
fn limits_and_names_are_held_before_anything_is_written() {
    let setting = Setting::new();
    let (url, _) = setting.service(|_, _| false);
    let digest = &setting.sealed.digest;
    let ran = setting.pull_as(&url, digest, &["--max-size", "0"]);
    ran.ended(1, "package-file-too-large");
    let ran = run(&[
        "--json",
        "pull",
        "--url",
        &url,
        "--model",
        "../x",
        "--package-digest",
        digest,
        "--out",
        "never",
    ]);
    ran.ended(2, "model-unknown");
    let other = format!("sha256:{}", "0".repeat(64));
    setting
        .pull_as(&url, &other, &[])
        .ended(1, "package-not-pinned");
    // A manifest that names a file elsewhere is none, even when its digest is pinned.
    let manifest = fs::read_to_string(Path::new(&setting.sealed.package()).join("manifest.json"));
    let manifest = manifest.unwrap().replace("integer.onnx", "../integer.onnx");
    let digest = sha256(manifest.as_bytes());
    let pinned = digest.clone();
    let (url, _) = serve(Box::new(move |asked, stream| {
        let body = if asked.path == "/v1/models" {
            list(&pinned, "1")
        } else {
            manifest.clone().into_bytes()
        };
        give(stream, "200 OK", &body);
    }));
    setting
        .pull_as(&url, &digest, &[])
        .ended(1, "manifest-invalid");
    setting.nothing();
}

/// A digest as it is written.
fn sha256(bytes: &[u8]) -> String {
    proofmark_types::Digest::of(bytes).to_string()
}

#[test]
fn what_is_in_the_way_is_not_touched() {
    let setting = Setting::new();
    let out = setting.sealed.file("pulled");
    fs::create_dir(&out).unwrap();
    fs::write(Path::new(&out).join("mine"), "mine").unwrap();
    let (url, _) = setting.service(|_, _| false);
    setting.pull(&url).ended(2, "package-folder-not-empty");
    assert_eq!(fs::read(Path::new(&out).join("mine")).unwrap(), b"mine");
    fs::remove_file(Path::new(&out).join("mine")).unwrap();
    let pulled: Value = setting.pull(&url).ended(0, "").json();
    assert_eq!(pulled["name"], MODEL);
}
