//! The systems that are measured, each through its steps.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process::{self, Done, Limits};
use crate::results::{Row, Status, median};
use crate::steps::export::{CIRCUIT, ExportReport, WITNESS};
use crate::steps::import::{CLASSES_FILE, DRAFT, ImportReport, ORIGINAL, SAMPLES_FILE};
use crate::steps::{ProofReport, SetupReport};
use crate::tools;

/// A system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum System {
    /// Proofmark, plain Groth16.
    Plain,
    /// The same with precomputed multiples of the key's points.
    PlainTables,
    /// Proofmark, Groth16 with a commitment and lookups.
    Lookup,
    /// The same with precomputed multiples of the key's points.
    LookupTables,
    /// ark-groth16's generator and prover on the plain circuit.
    Stock,
    /// snarkjs on the plain circuit.
    Snarkjs,
    /// EZKL on the original model.
    Ezkl,
}

impl System {
    /// All, in the order of columns.
    pub(crate) const ALL: [Self; 7] = [
        Self::Plain,
        Self::PlainTables,
        Self::Lookup,
        Self::LookupTables,
        Self::Stock,
        Self::Snarkjs,
        Self::Ezkl,
    ];

    /// Name in results and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainTables => "plain-tables",
            Self::Lookup => "lookup",
            Self::LookupTables => "lookup-tables",
            Self::Stock => "stock",
            Self::Snarkjs => "snarkjs",
            Self::Ezkl => "ezkl",
        }
    }

    /// Name for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainTables => "plain, tables",
            Self::Lookup => "lookup",
            Self::LookupTables => "lookup, tables",
            Self::Stock => "ark-groth16",
            Self::Snarkjs => "snarkjs",
            Self::Ezkl => "EZKL",
        }
    }

    fn version(self) -> String {
        let pinned = |package| tools::pinned(package).unwrap_or_default();
        match self {
            Self::Plain | Self::PlainTables | Self::Lookup | Self::LookupTables => {
                env!("CARGO_PKG_VERSION").to_owned()
            }
            Self::Stock => "0.6".to_owned(),
            Self::Snarkjs => pinned("snarkjs"),
            Self::Ezkl => pinned("ezkl"),
        }
    }

    /// Whether the integer model's agreement with the original is this system's.
    const fn proves_the_integer_model(self) -> bool {
        !matches!(self, Self::Ezkl)
    }

    /// Whether it is measured again in each round.
    const fn is_quick(self) -> bool {
        !matches!(self, Self::Snarkjs | Self::Ezkl)
    }

    /// Our backend's name, if it is one of ours.
    const fn backend(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::PlainTables => Some("plain"),
            Self::Lookup | Self::LookupTables => Some("lookup"),
            Self::Stock | Self::Snarkjs | Self::Ezkl => None,
        }
    }

    const fn has_tables(self) -> bool {
        matches!(self, Self::PlainTables | Self::LookupTables)
    }
}

/// How the benchmark runs its steps.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    /// This program.
    pub(crate) program: PathBuf,
    /// Working folder, absolute.
    pub(crate) work: PathBuf,
    /// What a step may take.
    pub(crate) limits: Limits,
    /// Proofs a round.
    pub(crate) runs: usize,
    /// Seconds a round after which no further proof is begun.
    pub(crate) budget: u64,
    /// Memory for precomputed multiples, for the systems that have them.
    pub(crate) table_bytes: u64,
    /// Cores that steps may use; all when absent.
    pub(crate) cores: Option<usize>,
}

impl Bench {
    /// Runs a step of this program.
    pub(crate) fn step<T: DeserializeOwned>(
        &self,
        label: &str,
        name: &str,
        arguments: &[(&str, OsString)],
    ) -> Result<(T, u64), String> {
        let mut command = self.command(&self.program);
        command.args(["step", name]);
        for (option, value) in arguments {
            command.arg(format!("--{option}")).arg(value);
        }
        self.finish(label, command)
    }

    /// A command on the cores that are allowed.
    fn command(&self, program: &Path) -> Command {
        let Some(cores) = self.cores else {
            return Command::new(program);
        };
        let mut command = Command::new("taskset");
        command.arg("-c").arg(format!("0-{}", cores.max(1) - 1));
        command.arg(program);
        command.env("RAYON_NUM_THREADS", cores.to_string());
        command
    }

    fn finish<T: DeserializeOwned>(
        &self,
        label: &str,
        mut command: Command,
    ) -> Result<(T, u64), String> {
        let folder = self.work.join("logs");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let Done { value, peak } = process::run(&mut command, self.limits, &folder.join(label))
            .map_err(|reason| format!("{label}: {reason}"))?;
        let told = serde_json::from_value(value);
        Ok((told.map_err(|error| format!("{label}: {error}"))?, peak))
    }
}

/// A model, imported.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// Its name.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What the import told.
    pub(crate) report: ImportReport,
}

impl Prepared {
    /// Imports a model anew.
    pub(crate) fn new(bench: &Bench, name: &str) -> Result<Self, String> {
        let folder = bench.work.join("models").join(name);
        fresh(&folder)?;
        let arguments = [("model", name.into()), ("out", folder.clone().into())];
        let (report, _) = bench.step("import", "import", &arguments)?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            report,
        })
    }

    fn path(&self, file: &str) -> OsString {
        self.folder.join(file).into()
    }
}

/// An empty folder in place of whatever was there.
fn fresh(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

#[derive(Deserialize)]
struct Calibrated {
    import_s: f64,
    compile_s: f64,
    logrows: u32,
    rows: u64,
    public_inputs: u64,
}

#[derive(Deserialize)]
struct Keys {
    setup_s: f64,
    proving_key_bytes: u64,
    verifying_key_bytes: u64,
}

#[derive(Deserialize)]
struct Agreement {
    agreement: f64,
    agreement_samples: u64,
}

#[derive(Deserialize)]
struct Ignored {}

/// One system on one model.
#[derive(Debug)]
pub(crate) struct Trial<'b> {
    system: System,
    bench: &'b Bench,
    model: &'b Prepared,
    /// Keys and whatever else the system keeps between its steps.
    folder: PathBuf,
    /// For EZKL: the reference string.
    srs: PathBuf,
    row: Row,
    rounds: Vec<ProofReport>,
}

impl<'b> Trial<'b> {
    /// Makes the keys; a failure stands in the row.
    pub(crate) fn set_up(
        bench: &'b Bench,
        model: &'b Prepared,
        system: System,
        template: &Row,
    ) -> Self {
        let folder = bench.work.join("keys").join(system.name());
        let mut trial = Self {
            system,
            bench,
            model,
            srs: PathBuf::new(),
            folder,
            row: Row {
                system: system.name().to_owned(),
                version: system.version(),
                ..template.clone()
            },
            rounds: Vec::new(),
        };
        if system.proves_the_integer_model() {
            trial.row.import_s = model.report.import_s;
            trial.row.agreement = model.report.agreement;
            trial.row.agreement_samples = model.report.agreement_samples;
        }
        let refused = match &model.report.refused {
            Some(refusal) if system.proves_the_integer_model() => Err(refusal.clone()),
            Some(_) | None => Ok(()),
        };
        let done = refused
            .and_then(|()| fresh(&trial.folder))
            .and_then(|()| match system {
                System::Plain | System::PlainTables | System::Lookup | System::LookupTables => {
                    trial.set_up_ours()
                }
                System::Stock => trial.set_up_stock(),
                System::Snarkjs => trial.set_up_snarkjs(),
                System::Ezkl => trial.set_up_ezkl(),
            });
        trial.note(done);
        trial
    }

    /// Whether another round is of use.
    pub(crate) fn goes_on(&self) -> bool {
        self.row.status == Status::Done && (self.rounds.is_empty() || self.system.is_quick())
    }

    /// One round of proofs; a failure stands in the row.
    pub(crate) fn prove(&mut self) {
        let done = match self.system {
            System::Plain | System::PlainTables | System::Lookup | System::LookupTables => {
                let bytes = if self.system.has_tables() {
                    self.bench.table_bytes
                } else {
                    0
                };
                let package = ("package", self.folder.join("package").into());
                let tables = ("table-bytes", bytes.to_string().into());
                let folder = ("table-folder", self.folder.join("tables").into());
                self.prove_step("prove", [package, tables, folder].into())
            }
            System::Stock => {
                let key = ("key", self.folder.clone().into());
                let draft = ("draft", self.model.path(DRAFT));
                self.prove_step("stock-prove", [draft, key].into())
            }
            System::Snarkjs => self.prove_snarkjs(),
            System::Ezkl => self.prove_ezkl(),
        };
        let done = done.map(|(report, peak)| {
            let peaks = self.row.proving_peak_bytes.into_iter().chain([peak]);
            self.row.proving_peak_bytes = peaks.max();
            self.rounds.push(report);
        });
        self.note(done);
    }

    /// The row, once all rounds are over. Keys are removed: those of EZKL take gigabytes.
    pub(crate) fn finish(mut self) -> Row {
        let rounds = &self.rounds;
        let all = |values: fn(&ProofReport) -> &Vec<f64>| -> Vec<f64> {
            let counted = rounds.iter().map(|round| {
                let values = values(round);
                // A process's first proof warms caches and counts only where there is no other.
                values.get(usize::from(values.len() > 1)..)
            });
            counted.flatten().flatten().copied().collect()
        };
        let proving = all(|r| &r.proving_s);
        let row = &mut self.row;
        row.runs = proving.len();
        row.proving_s = median(&proving);
        row.proving_min_s = proving.iter().copied().reduce(f64::min);
        row.proving_max_s = proving.iter().copied().reduce(f64::max);
        row.request_s = median(&all(|r| &r.request_s));
        row.witness_s = median(&all(|r| &r.witness_s));
        row.verifying_s = median(&all(|r| &r.verifying_s));
        let cold: Vec<f64> = rounds.iter().map(|round| round.cold_s).collect();
        row.cold_s = median(&cold);
        row.proof_bytes = rounds.first().map(|round| round.proof_bytes);
        // Where this fails, the next trial that makes the folder anew says so.
        fs::remove_dir_all(&self.folder).ok();
        self.row
    }

    fn note(&mut self, done: Result<(), String>) {
        if let Err(reason) = done {
            self.row.status = Status::Failed;
            self.row.reason = reason;
        }
    }

    fn label(&self, step: &str) -> String {
        format!("{}-{}-{step}", self.model.name, self.system.name())
    }

    fn set(&mut self, report: &SetupReport, peak: u64) {
        self.row.setup_s = Some(report.setup_s);
        self.row.rows = Some(report.rows);
        self.row.public_inputs = report.public_inputs;
        self.row.proving_key_bytes = Some(report.proving_key_bytes);
        self.row.verifying_key_bytes = Some(report.verifying_key_bytes);
        self.row.setup_peak_bytes = Some(peak);
    }

    fn set_up_ours(&mut self) -> Result<(), String> {
        let arguments = [
            ("draft", self.model.path(DRAFT)),
            ("out", self.folder.join("package").into()),
            ("backend", self.system.backend().unwrap_or("auto").into()),
        ];
        let (report, peak) = self.bench.step(&self.label("setup"), "setup", &arguments)?;
        self.set(&report, peak);
        Ok(())
    }

    fn set_up_stock(&mut self) -> Result<(), String> {
        let arguments = [
            ("draft", self.model.path(DRAFT)),
            ("out", self.folder.clone().into()),
        ];
        let label = self.label("setup");
        let (report, peak) = self.bench.step(&label, "stock-setup", &arguments)?;
        self.set(&report, peak);
        Ok(())
    }

    fn prove_step(
        &self,
        step: &str,
        mut arguments: Vec<(&str, OsString)>,
    ) -> Result<(ProofReport, u64), String> {
        arguments.extend([
            ("samples", self.model.path(SAMPLES_FILE)),
            ("runs", self.bench.runs.to_string().into()),
            ("budget", self.bench.budget.to_string().into()),
        ]);
        self.bench.step(&self.label("prove"), step, &arguments)
    }

    fn set_up_snarkjs(&mut self) -> Result<(), String> {
        let installed = tools::snarkjs(&self.bench.work)?;
        let arguments = [
            ("draft", self.model.path(DRAFT)),
            ("samples", self.model.path(SAMPLES_FILE)),
            ("out", self.folder.clone().into()),
        ];
        let label = self.label("export");
        let (circuit, _): (ExportReport, u64) = self.bench.step(&label, "export", &arguments)?;
        self.row.rows = Some(circuit.rows);
        self.row.public_inputs = Some(circuit.public_inputs);
        let ptau = self.cached("ptau", circuit.power, |file| {
            let arguments = [
                ("power", circuit.power.to_string().into()),
                ("out", file.into()),
            ];
            let label = self.label("ptau");
            self.bench.step::<Ignored>(&label, "ptau", &arguments)
        })?;
        let mut command = self.node(&installed)?;
        command.arg("setup").arg(self.folder.join(CIRCUIT));
        command.arg(ptau).arg(&self.folder);
        let (keys, peak) = self.bench.finish(&self.label("setup"), command)?;
        self.set_keys(&keys, peak);
        Ok(())
    }

    fn prove_snarkjs(&self) -> Result<(ProofReport, u64), String> {
        let mut command = self.node(&tools::snarkjs(&self.bench.work)?)?;
        command.arg("prove").arg(&self.folder);
        command.arg(self.folder.join(WITNESS));
        command.arg(self.bench.runs.to_string());
        command.arg(self.bench.budget.to_string());
        self.bench.finish(&self.label("prove"), command)
    }

    fn node(&self, installed: &Path) -> Result<Command, String> {
        let script = std::path::absolute("benchmarks/snarkjs/steps.mjs");
        let mut command = self.bench.command(Path::new("node"));
        command.arg(script.map_err(|error| error.to_string())?);
        command.current_dir(installed);
        Ok(command)
    }

    /// A file that depends on the size alone, made once and kept.
    fn cached<T>(
        &self,
        kind: &str,
        power: u32,
        make: impl FnOnce(&Path) -> Result<(T, u64), String>,
    ) -> Result<PathBuf, String> {
        let folder = self.bench.work.join(kind);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let file = folder.join(format!("{power}.{kind}"));
        if !file.exists() {
            let part = file.with_extension("part");
            make(&part)?;
            fs::rename(&part, &file).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(file)
    }

    fn set_keys(&mut self, keys: &Keys, peak: u64) {
        self.row.setup_s = Some(self.row.setup_s.unwrap_or_default() + keys.setup_s);
        self.row.proving_key_bytes = Some(keys.proving_key_bytes);
        self.row.verifying_key_bytes = Some(keys.verifying_key_bytes);
        let peaks = self.row.setup_peak_bytes.into_iter().chain([peak]);
        self.row.setup_peak_bytes = peaks.max();
    }

    fn set_up_ezkl(&mut self) -> Result<(), String> {
        let mut command = self.python("calibrate")?;
        command.arg("--model").arg(self.model.path(ORIGINAL));
        command.arg("--samples").arg(self.model.path(SAMPLES_FILE));
        let (circuit, peak): (Calibrated, u64) =
            self.bench.finish(&self.label("calibrate"), command)?;
        self.row.import_s = Some(circuit.import_s);
        self.row.setup_s = Some(circuit.compile_s);
        self.row.setup_peak_bytes = Some(peak);
        self.row.rows = Some(circuit.rows);
        self.row.public_inputs = Some(circuit.public_inputs);
        self.srs = self.cached("srs", circuit.logrows, |file| {
            let mut command = self.python("srs")?;
            command.arg("--srs").arg(file);
            command.arg("--logrows").arg(circuit.logrows.to_string());
            self.bench.finish::<Ignored>(&self.label("srs"), command)
        })?;
        let mut command = self.python("setup")?;
        command.arg("--srs").arg(&self.srs);
        let (keys, peak) = self.bench.finish(&self.label("setup"), command)?;
        self.set_keys(&keys, peak);
        Ok(())
    }

    fn prove_ezkl(&mut self) -> Result<(ProofReport, u64), String> {
        let mut command = self.python("prove")?;
        command.arg("--srs").arg(&self.srs);
        command.arg("--samples").arg(self.model.path(SAMPLES_FILE));
        command.arg("--runs").arg(self.bench.runs.to_string());
        command.arg("--budget").arg(self.bench.budget.to_string());
        let proven = self.bench.finish(&self.label("prove"), command)?;
        if self.model.folder.join(CLASSES_FILE).exists() {
            let mut command = self.python("agree")?;
            command.arg("--samples").arg(self.model.path(SAMPLES_FILE));
            command.arg("--classes").arg(self.model.path(CLASSES_FILE));
            command.arg("--budget").arg(self.bench.budget.to_string());
            let (told, _): (Agreement, u64) = self.bench.finish(&self.label("agree"), command)?;
            self.row.agreement = Some(told.agreement);
            self.row.agreement_samples = Some(told.agreement_samples);
        }
        Ok(proven)
    }

    fn python(&self, step: &str) -> Result<Command, String> {
        let mut command = self.bench.command(&tools::ezkl(&self.bench.work)?);
        command.args(["benchmarks/ezkl_steps.py", step, "--work"]);
        command.arg(&self.folder);
        Ok(command)
    }
}
