//! `proofmark bench`: what each part takes, on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use proofmark_engine::{
    Engine, EngineOptions, ImportOptions, ProveRequest, circuit_backend, import, seal,
};
use proofmark_onnx::Limits;
use proofmark_types::Context;
use proofmark_types::manifest::{Backend, MANIFEST_FILE};
use proofmark_verifier::{Expectations, Pins, TrustedPackage};
use proofmark_verify::Failure;
use serde_json::{Value, json};

use crate::arguments::{BackendArg, BenchArgs};
use crate::commands::{import as import_command, now, random_bytes};
use crate::failures::OrFail as _;
use crate::inputs::{self, Reading};
use crate::output::{Output, bytes, grouped, seconds};

/// Verifications a run: one is too short to time well.
const VERIFICATIONS: u32 = 10;

/// Figures of one model; durations are medians over the runs.
struct Figures {
    model: String,
    backend: Backend,
    constraints: u64,
    non_zero: u64,
    public_inputs: u64,
    proving_key_bytes: u64,
    setup: Duration,
    load: Duration,
    runtime: Duration,
    witness: Duration,
    proving: Duration,
    verifying: Duration,
    setup_memory: Option<u64>,
    proving_memory: Option<u64>,
}

pub(crate) fn run(args: &BenchArgs, output: Output) -> Result<(), Failure> {
    let folders = folders(args)?;
    let mut all = Vec::new();
    for folder in &folders {
        output.note(&format!("measuring {}", folder.display()));
        for backend in &args.backend {
            all.push(measure(folder, *backend, args, output)?);
        }
    }
    let object = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "debug_assertions": cfg!(debug_assertions),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "runs": args.runs,
        "models": all.iter().map(Figures::json).collect::<Vec<_>>(),
    });
    output.result(&object, &table(&all))
}

/// The models to measure, by name.
fn folders(args: &BenchArgs) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot read {}", args.models.display());
        let mut failure = Failure::environment("file-unreadable", message);
        failure.causes.push(error.to_string());
        failure
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(&args.models).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        let importable =
            folder.join("float.onnx").is_file() && folder.join("calibration.npz").is_file();
        if folder.join(MANIFEST_FILE).is_file() || importable {
            found.push(folder);
        }
    }
    found.sort();
    let name = |folder: &Path| folder.file_name().map(|n| n.to_string_lossy().into_owned());
    if let Some(missing) = args
        .model
        .iter()
        .find(|model| !found.iter().any(|f| name(f).as_deref() == Some(model)))
    {
        let message = format!("{} has no model {missing:?}", args.models.display());
        return Err(Failure::usage("model-folder-missing", message));
    }
    if !args.model.is_empty() {
        found.retain(|folder| name(folder).is_some_and(|n| args.model.contains(&n)));
    }
    if found.is_empty() {
        let message = format!("{} holds no models", args.models.display());
        return Err(Failure::usage("model-folder-missing", message));
    }
    Ok(found)
}

fn measure(
    folder: &Path,
    backend: BackendArg,
    args: &BenchArgs,
    output: Output,
) -> Result<Figures, Failure> {
    let temporary = tempfile::tempdir().map_err(|error| {
        Failure::environment(
            "file-unwritable",
            format!("no folder for temporary files: {error}"),
        )
    })?;
    let draft = if folder.join(MANIFEST_FILE).is_file() {
        folder.to_owned()
    } else {
        let draft = temporary.path().join("draft");
        import_for_bench(folder, &draft)?;
        draft
    };
    let bars = output.bars();
    reset_peak_memory();
    let sealed = temporary.path().join("package");
    let start = Instant::now();
    let package = seal(&draft, &sealed, backend.choice(), &bars).or_fail()?;
    let setup = start.elapsed();
    let setup_memory = peak_memory();

    reset_peak_memory();
    let start = Instant::now();
    let options = EngineOptions {
        table_bytes: args.table_memory.saturating_mul(1 << 20),
        table_folder: None,
    };
    let engine = Engine::load_with(&sealed, Some(package.digest()), &options).or_fail()?;
    let load = start.elapsed();
    let pins = Pins::package(package.digest());
    let recipient = TrustedPackage::open(
        &pins,
        package.manifest_bytes(),
        engine.verifying_key_bytes(),
    )?;
    let signer = SigningKey::from_bytes(&random_bytes()?);
    let samples = folder.join("heldout.npz");
    let [mut runtime, mut witness, mut proving, mut verifying] = [const { Vec::new() }; 4];
    // The first run warms caches and tables and is not counted.
    for run in 0..=args.runs {
        let reading = Reading {
            sample: Some(run as usize),
            quantized: false,
        };
        let inputs = inputs::read(&samples, engine.manifest(), reading)?;
        let request = ProveRequest {
            inputs: inputs::tensors(&inputs),
            context: Context::off_chain(random_bytes()?),
            proved_at: now(),
        };
        let proven = engine.prove(&request, &signer).or_fail()?;
        let start = Instant::now();
        for _ in 0..VERIFICATIONS {
            recipient.verify(&proven.bytes, &Expectations::default())?;
        }
        if run > 0 {
            runtime.push(proven.timings.runtime);
            witness.push(proven.timings.witness);
            proving.push(proven.timings.proving);
            verifying.push(start.elapsed() / VERIFICATIONS);
        }
    }
    let circuit = &engine.sealed().circuit;
    Ok(Figures {
        model: engine.manifest().name.clone(),
        backend: engine.manifest().compiler.backend,
        constraints: circuit.constraints,
        non_zero: non_zero(&package)?,
        public_inputs: circuit.public_inputs,
        proving_key_bytes: engine.sealed().proving_key.bytes,
        setup,
        load,
        runtime: median(runtime),
        witness: median(witness),
        proving: median(proving),
        verifying: median(verifying),
        setup_memory,
        proving_memory: peak_memory(),
    })
}

/// Imports a model that has no draft yet.
fn import_for_bench(folder: &Path, draft: &Path) -> Result<(), Failure> {
    let path = folder.join("float.onnx");
    let model = proofmark_onnx::load(&path, &Limits::default()).or_fail()?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let options = ImportOptions {
        name: name.into_owned(),
        version: "1".to_owned(),
        calibration: import_command::calibration(&model, &folder.join("calibration.npz"))?,
        ..ImportOptions::default()
    };
    import(&path, draft, &options).or_fail()?;
    Ok(())
}

fn non_zero(package: &proofmark_package::Package) -> Result<u64, Failure> {
    let bytes = package.integer_model().or_fail()?;
    let model = proofmark_onnx::parse(&bytes, &Limits::default()).or_fail()?;
    let policy = proofmark_engine::policy_of(package.manifest());
    let plan = proofmark_ops::plan(&model, &policy).or_fail()?;
    let backend = circuit_backend(package.manifest().compiler.backend);
    Ok(plan.circuit_for(backend).or_fail()?.r1cs.non_zero() as u64)
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations
        .get(durations.len() / 2)
        .copied()
        .unwrap_or_default()
}

/// Largest memory of this process since the last reset, in bytes (Linux: `VmHWM`).
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Starts the measurement of the peak anew. Where the system does not let us, the peak is that of
/// the whole process, which is never too small.
fn reset_peak_memory() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

impl Figures {
    fn json(&self) -> Value {
        json!({
            "model": self.model,
            "constraints": self.constraints,
            "non_zero": self.non_zero,
            "public_inputs": self.public_inputs,
            "proving_key_bytes": self.proving_key_bytes,
            "backend": self.backend,
            "proof_bytes": self.backend.proof_bytes(),
            "setup_seconds": self.setup.as_secs_f64(),
            "load_seconds": self.load.as_secs_f64(),
            "runtime_seconds": self.runtime.as_secs_f64(),
            "witness_seconds": self.witness.as_secs_f64(),
            "proving_seconds": self.proving.as_secs_f64(),
            "verifying_seconds": self.verifying.as_secs_f64(),
            "setup_peak_memory_bytes": self.setup_memory,
            "proving_peak_memory_bytes": self.proving_memory,
        })
    }
}

/// A column: its heading, and a model's entry.
type Column = (&'static str, fn(&Figures) -> String);

const COLUMNS: [Column; 13] = [
    ("model", |f| f.model.clone()),
    ("backend", |f| name(f.backend)),
    ("constraints", |f| grouped(f.constraints)),
    ("non-zero", |f| grouped(f.non_zero)),
    ("key", |f| bytes(f.proving_key_bytes)),
    ("setup", |f| seconds(f.setup.as_secs_f64())),
    ("load", |f| seconds(f.load.as_secs_f64())),
    ("runtime", |f| seconds(f.runtime.as_secs_f64())),
    ("witness", |f| seconds(f.witness.as_secs_f64())),
    ("proving", |f| seconds(f.proving.as_secs_f64())),
    ("verifying", |f| seconds(f.verifying.as_secs_f64())),
    ("peak memory", |f| {
        f.proving_memory
            .max(f.setup_memory)
            .map_or_else(|| "?".to_owned(), bytes)
    }),
    ("proof", |f| format!("{} B", f.backend.proof_bytes())),
];

fn name(backend: Backend) -> String {
    match backend {
        Backend::Groth16 => "plain",
        Backend::Groth16Logup => "lookup",
    }
    .to_owned()
}

fn table(all: &[Figures]) -> String {
    let mut rows = vec![COLUMNS.map(|(heading, _)| heading.to_owned())];
    rows.extend(all.iter().map(|f| COLUMNS.map(|(_, entry)| entry(f))));
    let width = |column: usize| {
        let lengths = rows.iter().filter_map(|row| row.get(column));
        lengths.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(at, (text, &width))| {
                if at == 0 {
                    format!("{text:<width$}")
                } else {
                    format!("{text:>width$}")
                }
            });
            cells.collect::<Vec<_>>().join("  ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_slow_run() {
        let ms = Duration::from_millis;
        assert_eq!(median(vec![ms(900), ms(5), ms(6)]), ms(6));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn peak_memory_is_read() {
        reset_peak_memory();
        assert!(peak_memory().unwrap() > 100_000);
    }
}
