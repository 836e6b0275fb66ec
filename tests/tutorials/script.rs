//! A tutorial as one script of bash, in a fresh folder, with the built programs first in the path.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use proofmark_tests::service::program;

use crate::markdown::Block;

/// What readers find at these ports; here others are taken, so that tests run beside each other.
const PORTS: [u16; 4] = [8080, 8081, 8000, 8545];
/// How many ports a tutorial chooses from. They begin at 20,000, below those that systems hand out by
/// themselves, and no two tutorials share any: nobody takes one between choosing and listening.
const SPAN: u16 = 3000;
const FIRST_PORT: u16 = 20_000;
/// As long as a tutorial may take where everything else runs too.
const PATIENCE: Duration = Duration::from_secs(300);

/// Ends a text in a script.
const END: &str = "END_OF_THE_TUTORIALS_FILE";

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) struct Walk {
    script: String,
    /// Where in the tutorial each block of commands stands.
    lines: Vec<usize>,
    ports: Vec<(String, String)>,
}

/// Ends everything that a tutorial left running.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        // There is none any more when everything has ended.
        drop(
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status(),
        );
        drop(self.0.wait());
    }
}

impl Walk {
    /// Of the tutorial of this number.
    pub(crate) fn new(number: u16, blocks: &[Block]) -> Self {
        let ports = PORTS
            .iter()
            .map(u16::to_string)
            .zip(free_ports(FIRST_PORT + number * SPAN))
            .collect();
        let mut walk = Self {
            script: "set -euo pipefail\n".to_owned(),
            lines: Vec::new(),
            ports,
        };
        for block in blocks {
            let text = walk.of_this_machine(&block.text);
            assert!(!text.contains(END));
            match &block.title {
                Some(file) => {
                    let folder = Path::new(file).parent().unwrap().display();
                    writeln!(walk.script, "mkdir -p \"./{folder}\"").unwrap();
                    write!(walk.script, "cat > '{file}' <<'{END}'\n{text}{END}\n").unwrap();
                }
                None if block.language == "sh" => {
                    // Braces run in the script's own shell, so that variables and folders stay.
                    let step = walk.lines.len();
                    write!(walk.script, "{{\n{text}}} > \"$PRINTED/{step}\" 2>&1\n").unwrap();
                    walk.lines.push(block.line);
                }
                None => (),
            }
        }
        walk
    }

    /// A text with the ports that are taken here in place of the readers'.
    pub(crate) fn of_this_machine(&self, text: &str) -> String {
        let mut out = String::new();
        let mut number = String::new();
        for character in text.chars().chain(['\0']) {
            if character.is_ascii_digit() {
                number.push(character);
                continue;
            }
            let taken = self.ports.iter().find(|(readers, _)| *readers == number);
            if out.ends_with("127.0.0.1:") {
                assert!(
                    taken.is_some(),
                    "port {number} is not among those of tests/tutorials"
                );
            }
            out.push_str(taken.map_or(&number, |(_, here)| here));
            number.clear();
            out.push(character);
        }
        out.pop();
        out
    }

    /// Runs it; what each block of commands printed.
    pub(crate) fn run(&self, name: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part);
        for part in ["work", "printed", "clone"] {
            fs::create_dir(at(part)).unwrap();
        }
        clone(&at("clone"));
        fs::write(at("script.sh"), &self.script).unwrap();
        let programs = program("proofmark").parent().unwrap().to_owned();
        // Both programs are built.
        program("proofmark-verify");
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path)));
        let child = Command::new("bash")
            .arg(at("script.sh"))
            .current_dir(at("work"))
            .env("PATH", path.unwrap())
            .env("PROOFMARK", at("clone"))
            .env("PRINTED", at("printed"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run bash: {error}"));
        let mut group = Group(child);
        let ended = wait(&mut group.0);
        let printed: Vec<String> = (0..)
            .map_while(|step| fs::read(at("printed").join(step.to_string())).ok())
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect();
        let ended = ended.map_or_else(
            || format!("do not end within {} seconds", PATIENCE.as_secs()),
            |status| match status.success() {
                true => String::new(),
                false => format!("end with {status}"),
            },
        );
        assert!(
            ended.is_empty(),
            "{name}.md line {}: the commands {ended} and print\n{}",
            printed
                .len()
                .checked_sub(1)
                .map_or(0, |last| self.lines[last]),
            printed.last().map_or("nothing", String::as_str)
        );
        printed
    }
}

/// `None` when it takes too long.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(50));
    }
    None
}

/// As many ports as tutorials name, at which nothing listens.
fn free_ports(first: u16) -> Vec<String> {
    // Where these tests run twice at a time, the other process begins elsewhere.
    let offset = u16::try_from(std::process::id() * 17 % u32::from(SPAN)).unwrap();
    let mut held = Vec::new();
    for step in 0..SPAN {
        let port = first + (offset + step) % SPAN;
        held.extend(TcpListener::bind(("127.0.0.1", port)).map(|listener| (port, listener)));
        if held.len() == PORTS.len() {
            return held.iter().map(|(port, _)| port.to_string()).collect();
        }
    }
    panic!("{SPAN} ports from {first} on are taken")
}

/// The repository as in a fresh clone: what builds leave in the clients' folders is not in it.
fn clone(to: &Path) {
    let from = repository();
    for entry in fs::read_dir(&from).unwrap() {
        let name = entry.unwrap().file_name();
        if name == "clients" {
            copy(&from.join(&name), &to.join(&name));
        } else if name != "target" {
            let original = fs::canonicalize(from.join(&name)).unwrap();
            std::os::unix::fs::symlink(original, to.join(&name)).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    const BUILT: [&str; 3] = ["node_modules", "dist", "target"];
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(&name)).unwrap();
        } else if entry.file_type().unwrap().is_dir() && !BUILT.iter().any(|built| name == *built) {
            copy(&entry.path(), &to.join(&name));
        }
    }
}
