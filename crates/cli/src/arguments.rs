//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use proofmark_engine::BackendChoice;
use proofmark_types::manifest::{ReferenceLevel, Visibility};
use proofmark_types::{Context, Digest};
use proofmark_verify::{AttestationArgs, LogKeyArgs, OpenArgs, VerifyArgs, bytes_from_hex};

use crate::commands::attest::AttestArgs;
use crate::commands::ceremony::CeremonyArgs;
use crate::commands::doctor::DoctorArgs;
use crate::commands::evm::EvmArgs;
use crate::commands::log::{LogArgs, LogFiles, WitnessList};
use crate::commands::proxy::ProxyArgs;
use crate::commands::pull::PullArgs;
use crate::commands::relay::RelayArgs;

/// Proven inference: ONNX Runtime computes a result, a Groth16 proof of that very computation is
/// made and verified, and only then is the result given out.
///
/// Exit codes: 0 done or verified, 1 rejected, 2 usage, 3 environment.
#[derive(Debug, Parser)]
#[command(name = "proofmark", version)]
pub(crate) struct Cli {
    /// Print one JSON object on stdout; a failure prints a problem object (RFC 9457)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a draft package of a float model, or of one that is quantized already
    Import(ImportArgs),
    /// Show what proving a model takes, before any setup: float or integer ONNX, draft, package
    Inspect(InspectArgs),
    /// Make the keys of a draft and seal it as a package
    Setup(SetupArgs),
    /// Make keys together with others: forging takes all of you
    Ceremony(CeremonyArgs),
    /// Fetch a whole package from a service that hands it out, to prove on this machine
    Pull(PullArgs),
    /// Prove one inference on this machine
    Prove(ProveArgs),
    /// Verify a receipt against a package that you pin
    Verify(VerifyPackageArgs),
    /// Work with a receipt that you have
    Receipt(ReceiptArgs),
    /// Verify on a chain: contracts, calldata
    Evm(EvmArgs),
    /// Fulfil requests for inferences on a chain
    Relay(RelayArgs),
    /// Work with a service's transparency log, or be a witness of one
    Log(LogArgs),
    /// Derive everything again from a package and its receipts, without the service that made them
    Audit(AuditArgs),
    /// Sign what an audit of yours found, for those who see the public part of the package only
    Attest(AttestArgs),
    /// Serve proven inference over HTTP
    Serve(ServeArgs),
    /// Answer clients that know nothing of proofs with verified answers only
    Proxy(ProxyArgs),
    /// Ask a running service and verify its answer before showing it
    Infer(InferArgs),
    /// Say what is missing on this machine, and how to get it; changes nothing
    Doctor(DoctorArgs),
    /// Measure the sample models
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The model: float, or quantized already in the QOperator or the QDQ format, as ONNX Runtime,
    /// PyTorch and tf2onnx write them
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// Samples that the quantization ranges of a float model are taken from (.npz, .npy or .json)
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Samples that both models are compared on; labels under `y` (default: the calibration samples)
    #[arg(long, value_name = "FILE")]
    pub(crate) heldout: Option<PathBuf>,
    /// Package name: lower-case letters, digits, dots, hyphens and underscores, at most 64
    #[arg(long)]
    pub(crate) name: String,
    /// Folder for the draft; new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Class names, one for each index of the output's last dimension
    #[arg(long, value_delimiter = ',', value_name = "A,B,…")]
    pub(crate) labels: Vec<String>,
    /// Package version
    #[arg(long = "version", value_name = "V", default_value = "1")]
    pub(crate) package_version: String,
    /// What the model does, for people
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// Licence of the model (SPDX)
    #[arg(long, default_value = "")]
    pub(crate) licence: String,
    /// Who learns an input or output: public (default), hashed or private
    #[arg(long, value_name = "TENSOR=WHO", value_parser = visibility)]
    pub(crate) visibility: Vec<(String, Visibility)>,
    /// For a quantized model: largest share, 0 to 1, of output integers that may differ from what
    /// the original computes on this machine; also accepts rewrites that are not exact
    #[arg(long, value_name = "RATE")]
    pub(crate) accept_drift: Option<f64>,
    /// For a quantized model: how far ONNX Runtime may optimise the original that the integer model
    /// is compared with: disabled, basic, extended or all
    #[arg(long, value_name = "LEVEL", value_parser = reference, default_value = "all")]
    pub(crate) reference: ReferenceLevel,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// An ONNX file, or the folder of a draft or package
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// For a float model: samples to take quantization ranges from (default: made-up ones)
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
}

/// The proof system to seal for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// Groth16 that every existing verifier accepts; ranges by bits
    Plain,
    /// Groth16 with one commitment; ranges and functions by lookups
    Lookup,
    /// Whichever proves this model in less time, by prediction
    Auto,
}

impl BackendArg {
    pub(crate) const fn choice(self) -> BackendChoice {
        match self {
            Self::Plain => BackendChoice::Plain,
            Self::Lookup => BackendChoice::Lookup,
            Self::Auto => BackendChoice::Auto,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// The draft; it is not changed
    #[arg(value_name = "DRAFT_DIR")]
    pub(crate) draft: PathBuf,
    /// Folder for the sealed package; new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Proof system of the package
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) backend: BackendArg,
}

#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// Input values: .json (Open Inference Protocol or plain arrays), .npy or .npz
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Which sample of the file, from 0
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    /// The file holds the integer model's own integers, not float values to be quantized
    #[arg(long)]
    pub(crate) quantized: bool,
    /// Nonce to bind the proof to: 0x and 64 hex digits (default: drawn at random)
    #[arg(long, value_name = "NONCE", value_parser = bytes32)]
    pub(crate) nonce: Option<[u8; 32]>,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The sealed package
    #[arg(long, value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// Refuse the package unless it has this digest
    #[arg(long, value_name = "DIGEST")]
    pub(crate) package_digest: Option<Digest>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) consumer: ConsumerArgs,
    /// Where to write the receipt
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: PathBuf,
    /// Where to write values and salts of hidden tensors; for you alone (default with a private
    /// tensor: beside the receipt, RECEIPT.openings)
    #[arg(long, value_name = "FILE")]
    pub(crate) openings: Option<PathBuf>,
    /// Folder of the signing key, made at first use (default: a key for this receipt only)
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// The contract that a proof is for. Without one the proof is for no chain.
#[derive(Debug, Args)]
pub(crate) struct ConsumerArgs {
    /// Address of the contract that will act on the proof
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "chain_id")]
    pub(crate) consumer: Option<[u8; 20]>,
    /// Id of its chain
    #[arg(long, value_name = "ID", requires = "consumer")]
    pub(crate) chain_id: Option<u64>,
    /// Who asks, as the contract names them: an address, or 0x and 64 hex digits
    #[arg(long, value_name = "WHO", value_parser = requester, requires = "consumer")]
    pub(crate) requester: Option<[u8; 32]>,
    /// Unix seconds after which the contract refuses the proof
    #[arg(long, value_name = "SECONDS", requires = "consumer")]
    pub(crate) deadline: Option<u64>,
}

impl ConsumerArgs {
    /// The context of a proof with this nonce.
    pub(crate) fn context(&self, nonce: [u8; 32]) -> Context {
        let mut context = Context::off_chain(nonce);
        for (slot, byte) in context
            .chain_id
            .iter_mut()
            .skip(24)
            .zip(self.chain_id.unwrap_or_default().to_be_bytes())
        {
            *slot = byte;
        }
        context.consumer = self.consumer.unwrap_or_default();
        context.requester = self.requester.unwrap_or_default();
        context.deadline = self.deadline.unwrap_or_default();
        context
    }
}

/// Where the package's public files are.
#[derive(Debug, Args)]
pub(crate) struct PackageFiles {
    /// The package's folder
    #[arg(long, value_name = "DIR", required_unless_present_all = ["manifest", "verifying_key"])]
    pub(crate) package: Option<PathBuf>,
    /// The package's manifest.json, instead of --package
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "package",
        requires = "verifying_key"
    )]
    pub(crate) manifest: Option<PathBuf>,
    /// The package's verifying_key.bin, instead of --package
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "package",
        requires = "manifest"
    )]
    pub(crate) verifying_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyPackageArgs {
    #[command(flatten)]
    pub(crate) verify: VerifyArgs,
    #[command(flatten)]
    pub(crate) files: PackageFiles,
}

#[derive(Debug, Args)]
pub(crate) struct ReceiptArgs {
    #[command(subcommand)]
    pub(crate) command: ReceiptCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Show that hidden tensors hold certain values: compare them with the receipt's commitments
    Open(OpenArgs),
    /// Print a JSON Schema (draft 2020-12) that receipts, openings or attestations keep to
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value = "statement")]
    pub(crate) of: SchemaOf,
}

/// What a JSON Schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// The signed envelope
    Envelope,
    /// The statement in the envelope, with the predicate
    Statement,
    /// A file of openings
    Openings,
    /// The signed envelope of an attestation
    Attestation,
    /// The statement in that envelope, with the predicate
    PackageAudit,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The package's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// Digest of the package that you mean, from a source that you trust
    #[arg(long, value_name = "DIGEST")]
    pub(crate) package_digest: Option<Digest>,
    /// Public key of a service that you trust: 0x and 64 hex digits; may be repeated
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    pub(crate) service_key: Vec<[u8; 32]>,
    /// Receipts: files, and folders whose *.json files are receipts; may be repeated
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) receipts: Vec<PathBuf>,
    /// Openings of hidden inputs and outputs, from their owners: files, and folders whose *.openings
    /// files are some; those of NAME.json are NAME.openings or NAME.json.openings; may be repeated
    #[arg(long, value_name = "PATH", requires = "receipts", num_args = 1..)]
    pub(crate) openings: Vec<PathBuf>,
    /// Day (UTC, YYYY-MM-DD) before which there was no such package, as far as you know: receipts
    /// that state an earlier one were dated back
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) not_before: Option<u64>,
    /// The powers of tau that a ceremony's keys began from: with them the proving key is derived again
    #[arg(long, value_name = "FILE.ptau")]
    pub(crate) phase1: Option<PathBuf>,
    /// Hash that a contributor to a ceremony's keys published: they must have it; may be repeated
    #[arg(long, value_name = "HASH", value_parser = crate::commands::ceremony::hash)]
    pub(crate) contribution: Vec<Vec<u8>>,
    /// Whose word on the log is taken.
    #[command(flatten)]
    pub(crate) log_keys: LogKeyArgs,
    /// Copies of the log, whole: what it says of the receipts is honoured; may be repeated
    #[arg(long, value_name = "DIR", requires = "log_key")]
    pub(crate) log: Vec<PathBuf>,
    /// Proofs that receipts are logged: files and folders; may be repeated
    #[arg(long, value_name = "PATH", requires = "log_key", num_args = 1..)]
    pub(crate) tlog_proof: Vec<PathBuf>,
    /// Older checkpoints of the log that were kept: it must still contain them; may be repeated
    #[arg(long, value_name = "FILE", requires = "log_key")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// How many receipts to compute again in ONNX Runtime and in the integer evaluator
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) samples: usize,
    /// What chooses the samples: 0x and 64 hex digits (default: drawn at random, so that nobody
    /// can foresee it)
    #[arg(long, value_name = "SEED", value_parser = bytes32)]
    pub(crate) seed: Option<[u8; 32]>,
    /// Data of your own that float and integer model are compared on (.npz, .npy or .json); labels
    /// under `y`
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// The float model (default: the package's)
    #[arg(long, value_name = "MODEL.onnx", requires = "data")]
    pub(crate) float: Option<PathBuf>,
    /// Accuracy, 0 to 1, that the integer model may lose against the float model
    #[arg(long, value_name = "SHARE", default_value_t = proofmark_audit::DEFAULT_ACCURACY_LOSS, value_parser = share)]
    pub(crate) accuracy_loss: f64,
    /// End with exit code 1 also when something could not be checked, not only when something fails
    #[arg(long)]
    pub(crate) strict: bool,
    /// Folder for report.json and report.html; new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) report: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Folder whose subfolders are the sealed packages
    #[arg(long, value_name = "DIR")]
    pub(crate) packages: PathBuf,
    /// Folder for the receipts' database and the service's signing key
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) log: LogFiles,
    #[command(flatten)]
    pub(crate) witnesses: WitnessList,
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Requests that may wait; one more is answered 429
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) queue: usize,
    /// Proofs made at the same time; one proof uses all cores by itself
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// Seconds that a request may take when it does not say
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub(crate) deadline: u64,
    /// Mebibytes of memory a package for precomputed multiples of its proving key, which make proofs
    /// faster; they are kept under DATA/tables. 0 for none
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) table_memory: u64,
    /// Hand out this package whole, so that others can prove on their own machines: anybody gets the
    /// model's weights then. A model's name, or a package digest; may be repeated
    #[arg(long, value_name = "NAME|DIGEST")]
    pub(crate) share_package: Vec<String>,
    /// What receipt addresses begin with, as clients see this service
    #[arg(long, value_name = "URL", default_value = "")]
    pub(crate) public_url: String,
    /// An origin whose pages may ask this service from a browser, e.g. https://app.example, or * for
    /// all; may be repeated. The service's own page needs none
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InferArgs {
    /// The service, e.g. http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The model to ask
    #[arg(long, value_name = "NAME")]
    pub(crate) model: String,
    /// Digest of the package that you trust
    #[arg(long, value_name = "DIGEST")]
    pub(crate) package_digest: Digest,
    #[command(flatten)]
    pub(crate) files: PackageFiles,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// Public key of the service that must have signed: 0x and 64 hex digits
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    pub(crate) service_key: Option<[u8; 32]>,
    /// Where to write the receipt
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// Where to write values and salts of hidden tensors; for you alone (default with a private
    /// tensor: beside the receipt, RECEIPT.openings)
    #[arg(long, value_name = "FILE")]
    pub(crate) openings: Option<PathBuf>,
    /// Whose word on the package is taken; without files the service is asked for them.
    #[command(flatten)]
    pub(crate) attestations: AttestationArgs,
    /// The transparency log that must hold the receipt.
    #[command(flatten)]
    pub(crate) log: LogKeyArgs,
    /// A copy of the transparency log, older than the answer: what it revokes is rejected
    #[arg(long = "log", value_name = "DIR", requires_all = ["log_key", "service_key"])]
    pub(crate) log_copy: Option<PathBuf>,
    /// Where to write the proof that the receipt is logged (default: beside the receipt,
    /// RECEIPT.tlog-proof)
    #[arg(long, value_name = "FILE")]
    pub(crate) tlog_proof: Option<PathBuf>,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Folder whose subfolders are models: drafts, or float.onnx with calibration.npz
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub(crate) models: PathBuf,
    /// Measure only this model; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Vec<String>,
    /// Proofs a model; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Mebibytes of memory for precomputed multiples of the proving key, as in `proofmark serve`
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) table_memory: u64,
    /// Proof systems to measure each model with; may be repeated
    #[arg(long, value_enum, default_values_t = [BackendArg::Plain, BackendArg::Lookup])]
    pub(crate) backend: Vec<BackendArg>,
}

fn address(text: &str) -> Result<[u8; 20], String> {
    bytes_from_hex(text).ok_or_else(|| "it must be 0x and 40 hex digits".to_owned())
}

/// 32 bytes, or an address behind zeros, as Solidity widens one.
fn requester(text: &str) -> Result<[u8; 32], String> {
    if let Ok(short) = address(text) {
        let mut wide = [0; 32];
        for (slot, byte) in wide.iter_mut().skip(12).zip(short) {
            *slot = byte;
        }
        return Ok(wide);
    }
    bytes32(text)
}

fn bytes32(text: &str) -> Result<[u8; 32], String> {
    bytes_from_hex(text).ok_or_else(|| "it must be 0x and 64 hex digits".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// Unix seconds at which a day begins, in UTC.
fn day(text: &str) -> Result<u64, String> {
    let wrong = || "it must be a day from 1970 on, as 2026-11-21".to_owned();
    let parts: Vec<u64> = text
        .split('-')
        .filter_map(|part| part.parse().ok())
        .collect();
    let &[year @ 1970..=9999, month @ 1..=12, day @ 1..=31] = parts.as_slice() else {
        return Err(wrong());
    };
    // Days since 0000-03-01 by the civil calendar: years begin in March.
    let years = year - u64::from(month <= 2);
    let days = 365 * years + years / 4 - years / 100 + years / 400;
    let days = days + (153 * ((month + 9) % 12) + 2) / 5 + day;
    let seconds = days.saturating_sub(719_469) * 86_400;
    // Written out again it is the same day: none that the calendar lacks, in no other spelling.
    let same = proofmark_types::time::utc(seconds).starts_with(&format!("{text}T"));
    if same { Ok(seconds) } else { Err(wrong()) }
}

fn reference(text: &str) -> Result<ReferenceLevel, String> {
    let mut all = [
        ReferenceLevel::Disabled,
        ReferenceLevel::Basic,
        ReferenceLevel::Extended,
        ReferenceLevel::All,
    ]
    .into_iter();
    let found = all.find(|level| level.name() == text);
    found.ok_or_else(|| "it must be disabled, basic, extended or all".to_owned())
}

fn visibility(text: &str) -> Result<(String, Visibility), String> {
    let refuse = || "it must be TENSOR=public, TENSOR=hashed or TENSOR=private".to_owned();
    let (name, who) = text.rsplit_once('=').ok_or_else(refuse)?;
    let all = [Visibility::Public, Visibility::Hashed, Visibility::Private];
    let visibility = all.into_iter().find(|v| v.name() == who);
    let visibility = visibility.filter(|_| !name.is_empty());
    Ok((name.to_owned(), visibility.ok_or_else(refuse)?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2000-03-01", 951_868_800),
            ("2026-09-21", 1_789_948_800),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(day(text), Ok(seconds), "{text}");
        }
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "2026-11-00",
            "2026-11-31",
            "2026-1-1",
            "1969-12-31",
            "2026-11-21-1",
            "21.11.2026",
            "2026-11-21T00:00:00Z",
        ] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_visibility_names_a_tensor_and_who_learns_it() {
        let parsed = |text: &str| visibility(text).ok();
        assert_eq!(
            parsed("a=b=private"),
            Some(("a=b".to_owned(), Visibility::Private))
        );
        assert_eq!(
            parsed("x=hashed"),
            Some(("x".to_owned(), Visibility::Hashed))
        );
        for bad in ["", "x", "=public", "x=Public", "x=", "x=secret"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_verification_without_a_pin_is_no_command_line() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(parse("proofmark verify r.json --package p").is_err());
        let line = format!("proofmark verify r.json --package p --package-digest {digest}");
        assert!(parse(&line).is_ok());
        let line = format!("proofmark verify r.json --package-digest {digest} --manifest m");
        assert!(parse(&line).is_err(), "a manifest without its key");
        let line = format!(
            "proofmark verify r.json --package-digest {digest} --manifest m --verifying-key v"
        );
        assert!(parse(&line).is_ok());
        assert!(
            parse(&line.replace("sha256:", "SHA256:")).is_err(),
            "a digest has one spelling"
        );
    }

    #[test]
    fn a_consumer_stands_with_its_chain_and_makes_the_context() {
        let address = format!("0x{}", "ab".repeat(20));
        let parse = |rest: &str| {
            let line = format!("proofmark prove --package p --input i --receipt r {rest}");
            Cli::try_parse_from(line.split_whitespace())
        };
        for bad in [
            format!("--consumer {address}"),
            "--chain-id 1".to_owned(),
            format!("--requester {address}"),
            "--deadline 5".to_owned(),
            format!("--consumer {address}00 --chain-id 1"),
            format!("--consumer {address} --chain-id 1 --requester 0x00"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
        let context = |rest: &str| match parse(rest).unwrap().command {
            Command::Prove(args) => args.consumer.context([7; 32]),
            other => panic!("{other:?}"),
        };
        assert_eq!(context(""), Context::off_chain([7; 32]));
        let made = context(&format!(
            "--consumer {address} --chain-id 258 --requester {address} --deadline 5"
        ));
        assert_eq!(made.chain_id[29..], [0, 1, 2]);
        assert_eq!(made.consumer, [0xab; 20]);
        assert_eq!(made.requester[..12], [0; 12]);
        assert_eq!(made.requester[12..], [0xab; 20]);
        assert_eq!((made.nonce, made.deadline), ([7; 32], 5));
    }

    #[test]
    fn the_demos_command_lines_parse() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for line in [
            "proofmark import f.onnx --calibration c.npz --heldout h.npz --name n --version 1 \
             --description d --licence MIT --labels a,b --out o"
                .to_owned(),
            "proofmark setup models/n --out o".to_owned(),
            "proofmark inspect o --json".to_owned(),
            "proofmark serve --packages p --data d --listen 127.0.0.1:0 --json".to_owned(),
            format!(
                "proofmark infer --url http://h --model n --package-digest {digest} --package p \
                 --input h.npz --sample 0 --receipt r.json"
            ),
            "proofmark bench --models models --model n --runs 3 --json".to_owned(),
        ] {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
    }
}
