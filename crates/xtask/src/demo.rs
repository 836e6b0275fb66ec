//! `cargo xtask demo`: builds everything, prepares the sample models, starts the service, shows a
//! proven answer on held-out data, and lets a separate process verify it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{fetch_runtime, say};

/// The models of `models/` that the demo serves, quickest first.
const MODELS: [&str; 4] = [
    "risk-classifier",
    "digits-mlp",
    "lenet5-mnist",
    "resnet-animals",
];
/// The model the answer is shown for.
const SHOWN: &str = "digits-mlp";
/// Where the sealed packages, the receipts and the service's data go; ignored by git.
const DATA: &str = "data/demo";

/// Options of the demo.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Stop after the answer has been verified instead of serving on
    #[arg(long)]
    exit: bool,
    /// Prepare only these models
    #[arg(long)]
    model: Vec<String>,
}

/// Runs the demo.
pub(crate) fn run(options: &Options) -> Result<()> {
    say(&fetch_runtime::run()?.to_string())?;
    say("building (release) …")?;
    step(Command::new("cargo").args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "proofmark",
        "--package",
        "proofmark-verify",
    ]))?;
    let programs = Programs::locate()?;

    let wanted = |name: &&str| options.model.is_empty() || options.model.iter().any(|m| m == name);
    let models: Vec<&str> = MODELS.iter().copied().filter(wanted).collect();
    let packages = Path::new(DATA).join("packages");
    fs::create_dir_all(&packages)?;
    for model in &models {
        prepare(&programs, model, &packages)?;
    }
    let shown = if models.contains(&SHOWN) {
        SHOWN
    } else {
        models.first().context("no model is left")?
    };

    let mut service = Service::start(&programs, &packages, &options.listen)?;
    let outcome = show(&programs, shown, &packages, &service.url);
    if outcome.is_err() || options.exit {
        service.stop();
        return outcome;
    }
    say(&format!(
        "\nserving on {}; stop with Ctrl-C. Try:\n\n{}\n",
        service.url,
        curl_line(&service.url)
    ))?;
    service.wait()
}

/// The `curl` line of the README.
fn curl_line(url: &str) -> String {
    format!(
        "  curl -s {url}/v2/models/digits-mlp/infer -H 'content-type: application/json' -d @models/digits-mlp/request.json"
    )
}

fn step(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

struct Programs {
    proofmark: PathBuf,
    verify: PathBuf,
}

impl Programs {
    fn locate() -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let program = |name: &str| {
            let path = target
                .join("release")
                .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            path.is_file()
                .then_some(path)
                .with_context(|| format!("{name} was not built"))
        };
        Ok(Self {
            proofmark: program("proofmark")?,
            verify: program("proofmark-verify")?,
        })
    }
}

/// Seals a sample model unless that has been done for this very draft.
fn prepare(programs: &Programs, model: &str, packages: &Path) -> Result<()> {
    let draft = Path::new("models").join(model);
    let package = packages.join(model);
    let made_from = packages.join(format!("{model}.made-from"));
    let draft_manifest = fs::read_to_string(draft.join("manifest.json"))
        .with_context(|| format!("models/{model} has no manifest"))?;
    let current = package.join("transcript.json").is_file()
        && fs::read_to_string(&made_from).is_ok_and(|text| text == draft_manifest);
    if current {
        return say(&format!("{model}: package is ready"));
    }
    if package.exists() {
        fs::remove_dir_all(&package)?;
    }
    say(&format!("{model}: setup"))?;
    step(
        Command::new(&programs.proofmark)
            .arg("setup")
            .arg(&draft)
            .arg("--out")
            .arg(&package),
    )?;
    fs::write(made_from, draft_manifest)?;
    Ok(())
}

/// One proven answer, verified by a separate process.
fn show(programs: &Programs, model: &str, packages: &Path, url: &str) -> Result<()> {
    let package = packages.join(model);
    let receipt = Path::new(DATA).join(format!("{model}.receipt.json"));
    let digest = package_digest(programs, &package)?;
    say(&format!(
        "\nasking {model} about a held-out sample, package {digest}"
    ))?;
    step(
        Command::new(&programs.proofmark)
            .args([
                "infer",
                "--url",
                url,
                "--model",
                model,
                "--package-digest",
                &digest,
            ])
            .arg("--package")
            .arg(&package)
            .arg("--input")
            .arg(Path::new("models").join(model).join("heldout.npz"))
            .args(["--sample", "0"])
            .arg("--receipt")
            .arg(&receipt),
    )?;
    say("\na separate program verifies the receipt, offline:")?;
    step(
        Command::new(&programs.verify)
            .arg(&receipt)
            .args(["--package-digest", &digest])
            .arg("--manifest")
            .arg(package.join("manifest.json"))
            .arg("--verifying-key")
            .arg(package.join("verifying_key.bin")),
    )
}

/// Whoever pins a package gets its digest from a source they trust; the demo made it itself.
fn package_digest(programs: &Programs, package: &Path) -> Result<String> {
    let output = Command::new(&programs.proofmark)
        .arg("inspect")
        .arg(package)
        .arg("--json")
        .output()?;
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("inspect prints JSON")?;
    let digest = report
        .get("package_digest")
        .and_then(serde_json::Value::as_str);
    Ok(digest
        .context("inspect names the package digest")?
        .to_owned())
}

struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start(programs: &Programs, packages: &Path, listen: &str) -> Result<Self> {
        let mut child = Command::new(&programs.proofmark)
            .arg("serve")
            .arg("--packages")
            .arg(packages)
            .arg("--data")
            .arg(Path::new(DATA).join("service"))
            .args(["--listen", listen, "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the service")?;
        let stdout = child.stdout.take().context("the service has an output")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The first line with an address says that it listens; the rest is drained so
                // that the service never blocks on a full pipe.
                if let Some(url) = listening(&line)
                    && sender.send(url).is_err()
                {
                    break;
                }
            }
        });
        // Checking the keys of all models takes seconds; minutes mean that something is wrong.
        if let Ok(url) = receiver.recv_timeout(Duration::from_mins(2)) {
            return Ok(Self { child, url });
        }
        child.kill().ok();
        child.wait().ok();
        bail!("the service did not start to listen on {listen}")
    }

    fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the service ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listening(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event.get("listening")?.as_str().map(str::to_owned)
}
