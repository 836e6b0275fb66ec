//! `cargo xtask emulation`: the same integers on other processors. ONNX Runtime picks its kernels
//! by the processor's instruction sets, so the tests' programs run once more under `qemu-user`,
//! which emulates processors that lack some.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{fetch_runtime, say};

/// The emulator, of Debian's package `qemu-user`.
const EMULATOR: &str = "qemu-x86_64";

/// Emulated processors, by what ONNX Runtime's kernels ask for. A model of the emulator has no
/// more than its name says, so none has VNNI.
const PROCESSORS: [(&str, &str); 3] = [
    ("Haswell", "AVX2 and FMA, no VNNI"),
    ("SandyBridge", "AVX, no AVX2, no FMA"),
    ("Nehalem", "SSE4.2, no AVX"),
];

/// Which part to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also the random layers and graphs of the conformance and fuzz tests (minutes)
    #[arg(long)]
    pub(crate) all: bool,
}

/// Test programs that `--all` runs as well, and which of their tests (`""` is all). They compare
/// the runtime with the evaluator, so their success is the result.
const MORE: [(&str, &str); 2] = [("conformance", ""), ("fuzz", "random_graphs")];

/// Lines of a run by what they are about.
type Figures = BTreeMap<String, String>;

/// Runs the programs and compares the integers; gives the figures, a line each.
pub(crate) fn run(options: &Options) -> Result<Vec<String>> {
    fetch_runtime::run()?;
    let version = emulator()?;
    let mut told = vec![format!("{version}; {}", processor_at_hand())];
    let program = test_program("emulation")?;
    let native = figures(&program, None)?;
    let integers = |of: &Figures| -> Figures {
        let lines = of.iter().filter(|(key, _)| key.starts_with("integers "));
        lines.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let wanted = integers(&native);
    ensure!(
        !wanted.is_empty(),
        "the program {} printed no integers",
        program.display()
    );
    for (key, value) in &native {
        told.push(format!("at hand: {key}: {value}"));
    }
    for (model, lacks) in PROCESSORS {
        let start = Instant::now();
        let emulated = figures(&program, Some(model))?;
        let got = integers(&emulated);
        let keys: BTreeSet<&String> = wanted.keys().chain(got.keys()).collect();
        let differ: Vec<&str> = keys
            .into_iter()
            .filter(|key| wanted.get(*key) != got.get(*key))
            .map(String::as_str)
            .collect();
        ensure!(
            differ.is_empty(),
            "on {model} ({lacks}) the runtime computes other integers: {}",
            differ.join(", ")
        );
        told.push(format!(
            "{model} ({lacks}): {} digests of integers, all equal ({} s)",
            got.len(),
            start.elapsed().as_secs()
        ));
        for (key, value) in emulated.iter().filter(|(key, _)| key.starts_with("u8s8 ")) {
            told.push(format!("{model}: {key}: {value}"));
        }
        let saturates = emulated
            .iter()
            .any(|(key, value)| key.starts_with("u8s8 ") && !value.starts_with("0 of "));
        ensure!(
            saturates || model != PROCESSORS[0].0,
            "u8×s8 products are right on {model}: the emulation does not reach the kernels that \
             are known to saturate, so this check shows nothing"
        );
        if options.all {
            for (target, filter) in MORE {
                let start = Instant::now();
                let text = execute(&test_program(target)?, filter, Some(model))?;
                let result = text.lines().find(|line| line.starts_with("test result"));
                told.push(format!(
                    "{model}: {target}: {} ({} s)",
                    result.unwrap_or("no result"),
                    start.elapsed().as_secs()
                ));
            }
        }
    }
    Ok(told)
}

/// Runs and prints.
pub(crate) fn print(options: &Options) -> Result<()> {
    run(options)?.iter().try_for_each(|line| say(line))
}

/// The emulator's version; says how to get it where it is missing.
fn emulator() -> Result<String> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "other x86-64 processors are emulated on Linux on x86-64 only"
    );
    let output = Command::new(EMULATOR)
        .arg("--version")
        .output()
        .with_context(|| format!("{EMULATOR} is missing: install Debian's package qemu-user"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The processor's own name and what it has of the instruction sets in question.
fn processor_at_hand() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let flags = field("flags");
    let has = [
        "avx",
        "fma",
        "avx2",
        "avx512f",
        "avx512_vnni",
        "avx_vnni",
        "amx_int8",
    ]
    .into_iter()
    .filter(|flag| flags.split(' ').any(|f| f == *flag));
    format!(
        "at hand: {} ({})",
        field("model name"),
        has.collect::<Vec<_>>().join(" ")
    )
}

/// Builds a test target and says where its program lies.
fn test_program(target: &str) -> Result<PathBuf> {
    let output = Command::new("cargo")
        // The whole workspace, so that dependencies have the features that they were tested with.
        .args(["test", "--workspace", "--test", target])
        .args(["--no-run", "--message-format=json"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "the test target {target} does not build"
    );
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo names no program of the test target {target}"))
}

/// What a program prints, under the emulator or as it is.
fn execute(program: &Path, filter: &str, processor: Option<&str>) -> Result<String> {
    let mut command = match processor {
        Some(model) => {
            let mut command = Command::new(EMULATOR);
            command.args(["-cpu", model]).arg(program);
            command
        }
        None => Command::new(program),
    };
    let output = command
        .args([filter, "--nocapture", "--test-threads=1"])
        .output()
        .context("cannot start the test program")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        say(&text)?;
        say(&String::from_utf8_lossy(&output.stderr))?;
        let place = processor.map_or_else(|| "as it is".to_owned(), |m| format!("on {m}"));
        bail!("{} fails {place}", program.display());
    }
    Ok(text)
}

/// The lines `KIND NAME: FIGURES` that the program prints. The test harness writes the name of a
/// test in front of the first line of its output.
fn figures(program: &Path, processor: Option<&str>) -> Result<Figures> {
    let text = execute(program, "", processor)?;
    let mut figures = Figures::new();
    for line in text.lines() {
        let line = ["integers ", "u8s8 "]
            .iter()
            .find_map(|kind| line.find(kind).map(|at| &line[at..]));
        if let Some((key, value)) = line.and_then(|line| line.split_once(": ")) {
            figures.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(figures)
}
