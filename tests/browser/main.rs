//! The page in a real browser: Chromium against a running service, with a proxy between the two that lies
//! where a test wants it to. What is done there is in `page.mjs`, a function for each test here.
#![forbid(unsafe_code)]

#[path = "../../crates/prover/tests/js/npm.rs"]
mod npm;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proofmark_tests::samples;
use proofmark_tests::service::{Service, Start, proofmark, run};
use serde_json::Value;

/// The models that are served, sealed from their drafts, so that their cards come along.
const MODELS: [&str; 2] = ["digits-mlp", "risk-classifier"];

/// Sealed packages and what services keep.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        site.seal("packages", &MODELS);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn seal(&self, packages: &str, models: &[&str]) {
        for model in models {
            let out = self.path(packages).join(model);
            let ended = run(proofmark(&["setup", "--json"])
                .arg(samples::folder(model))
                .arg("--out")
                .arg(out));
            assert_eq!(ended.exit, 0, "{ended:?}");
        }
    }

    /// Seals a model with keys that these contributed to.
    fn seal_together(&self, model: &str, names: &[&str]) {
        let draft = samples::folder(model);
        let (phase1, ceremony) = (self.path("powers.ptau"), self.path("ceremony"));
        let out = self.path("packages").join(model);
        let done = |command: &mut Command| {
            let ended = run(command);
            assert_eq!(ended.exit, 0, "{ended:?}");
        };
        let step = |name: &str| proofmark(&["ceremony", name]);
        done(proofmark(&["ceremony", "phase1", "new", "--power", "12", "--out"]).arg(&phase1));
        done(
            step("new")
                .arg(&draft)
                .args(["--backend", "plain", "--phase1"])
                .arg(&phase1)
                .arg("--out")
                .arg(&ceremony),
        );
        for name in names {
            done(step("contribute").arg(&ceremony).args(["--name", name]));
        }
        done(
            step("finalize")
                .arg(&draft)
                .arg("--phase1")
                .arg(&phase1)
                .arg("--ceremony")
                .arg(&ceremony)
                .arg("--out")
                .arg(&out),
        );
    }

    fn serve(&self, packages: &str, data: &str) -> Service {
        Service::start(Start {
            packages: &self.path(packages),
            data: &self.path(data),
            more: &[],
        })
    }
}

/// A running `proofmark log witness`; killed when dropped.
struct Witness {
    process: Child,
    url: String,
    key: String,
}

impl Witness {
    fn start(state: &Path, log_key: &str) -> Self {
        let mut process = proofmark(&["log", "witness", "--json", "--name", "witness.example"])
            .args(["--listen", "127.0.0.1:0", "--log-key", log_key, "--state"])
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| said[name].as_str().unwrap().to_owned();
        Self {
            process,
            url: word("listening"),
            key: word("witness_key"),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It is gone when it cannot be killed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Chromium, as `CHROMIUM` names it or where Debian has it.
fn chromium() -> OsString {
    let named = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    assert!(
        Path::new(&named).is_file(),
        "{} is missing: install Debian's chromium, or name a Chromium in CHROMIUM",
        Path::new(&named).display()
    );
    named
}

/// Does in a browser what `page.mjs` has under this name, with these services.
fn browse(name: &str, services: &[&Service]) {
    browse_with(name, services, &[]);
}

/// As [`browse`], with more words.
fn browse_with(name: &str, services: &[&Service], more: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-pictures");
    fs::create_dir_all(&pictures).unwrap();
    let output = npm::run(
        Command::new("node")
            .arg(source.join("page.mjs"))
            .arg(name)
            .args(services.iter().map(|service| service.url()))
            .args(more)
            .env("CHROMIUM", chromium())
            .env("MODULES", npm::packages(&source, "browser"))
            .env("PICTURES", pictures),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
}

#[test]
fn a_drawn_digit_gets_the_mark() {
    let site = Site::new();
    browse("drawn", &[&site.serve("packages", "data")]);
}

#[test]
fn a_form_is_filled_in_and_proven() {
    let site = Site::new();
    browse("form", &[&site.serve("packages", "data")]);
}

#[test]
fn a_keyboard_is_enough() {
    let site = Site::new();
    browse("keyboard", &[&site.serve("packages", "data")]);
}

#[test]
fn a_dropped_receipt_is_judged_and_a_tampered_one_gets_its_code() {
    let site = Site::new();
    browse("dropped", &[&site.serve("packages", "data")]);
}

#[test]
fn a_service_that_lies_never_gets_a_mark() {
    let site = Site::new();
    browse("liar", &[&site.serve("packages", "data")]);
}

#[test]
fn a_mark_stands_beside_the_question_that_it_is_of() {
    let site = Site::new();
    browse("hurried", &[&site.serve("packages", "data")]);
}

#[test]
fn words_of_the_service_never_become_markup() {
    let site = Site::new();
    browse("markup", &[&site.serve("packages", "data")]);
}

#[test]
fn another_package_under_an_old_name_gets_no_mark() {
    let site = Site::new();
    site.seal("others", &MODELS);
    let service = site.serve("packages", "data");
    // A log of the same name and key, so that it is the package alone that is another one.
    fork_log(&site, "other-data");
    browse("replaced", &[&service, &site.serve("others", "other-data")]);
}

#[test]
fn a_model_card_says_plainly_how_the_keys_were_made() {
    let site = Site::new();
    fs::remove_dir_all(site.path("packages").join("risk-classifier")).unwrap();
    site.seal_together("risk-classifier", &["Ada", "Grace"]);
    browse("cards", &[&site.serve("packages", "data")]);
}

#[test]
fn a_log_that_changes_its_history_raises_an_alarm() {
    let site = Site::new();
    let service = site.serve("packages", "data");
    fork_log(&site, "fork");
    browse("history", &[&service, &site.serve("packages", "fork")]);
}

#[test]
fn cosignatures_are_checked_under_the_keys_that_a_visitor_gives() {
    let site = Site::new();
    // The log's key is drawn at the service's first start.
    let mut first = site.serve("packages", "data");
    let log_key = first.log_key().to_owned();
    first.terminate();
    assert_eq!(first.wait(), Some(0));
    let witness = Witness::start(&site.path("witness"), &log_key);
    let service = Service::start(Start {
        packages: &site.path("packages"),
        data: &site.path("data"),
        more: &["--witness", &witness.url, "--witness-key", &witness.key],
    });
    browse_with("witnessed", &[&service], &[&witness.key, &log_key]);
}

#[test]
fn every_page_fits_every_screen_and_everybody() {
    let site = Site::new();
    browse("everywhere", &[&site.serve("packages", "data")]);
}

/// A code that a person or a program is shown means the same everywhere, and stands in the list of codes.
#[test]
fn the_codes_of_the_page_and_of_the_client_are_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let said = [
        "rejected('",
        "unavailable('",
        "Refused('",
        "unread('",
        "code: '",
        "note, '",
        "code: \"",
        "refuse(\"",
    ];
    let mut codes = Vec::new();
    for folder in ["crates/server/web", "clients/typescript/src"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let source = fs::read(entry.unwrap().path()).unwrap();
            let source = String::from_utf8(source).unwrap();
            for start in said {
                let found = source.split(start).skip(1);
                codes.extend(found.filter_map(|rest| {
                    let code = rest.split(['\'', '"']).next()?;
                    let word = |b: u8| b.is_ascii_lowercase() || b == b'-';
                    (!code.is_empty() && code.bytes().all(word)).then(|| code.to_owned())
                }));
            }
        }
    }
    assert!(codes.len() > 20, "the search is broken: {codes:?}");
    codes.retain(|code| proofmark_types::problem::lookup(code).is_none());
    assert!(codes.is_empty(), "add to problem::ERROR_CODES: {codes:?}");
}

/// Gives another data folder the log of the first, in which nothing is yet: what is logged there is a history
/// of its own under the same name and key.
fn fork_log(site: &Site, data: &str) {
    fs::create_dir_all(site.path(data)).unwrap();
    let (from, to) = (site.path("data").join("log"), site.path(data).join("log"));
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
