//! `proofmark evm`: what contracts need of a package and of a receipt.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use proofmark_evm::{Call, Contract, EvmError, RegisteredModel, Target, VerifierContract};
use proofmark_package::Package;
use proofmark_types::Digest;
use proofmark_types::field::fr_to_hex;
use proofmark_verify::{Exit, Failure, Request, bytes_to_hex, verify};
use serde_json::json;

use crate::arguments::VerifyPackageArgs;
use crate::commands::{package_files, write};
use crate::failures::{Fail, OrFail as _};
use crate::output::Output;

/// Arguments of `proofmark evm`.
#[derive(Debug, Args)]
pub(crate) struct EvmArgs {
    #[command(subcommand)]
    command: EvmCommand,
}

#[derive(Debug, Subcommand)]
enum EvmCommand {
    /// Write the Solidity verifier of a package
    Verifier(VerifierArgs),
    /// Verify a receipt and print the calldata with which a contract verifies its proof
    Calldata(Box<CalldataArgs>),
    /// Print the calldata with which a universal verifier learns a package's key
    Register(RegisterArgs),
    /// Print a compiled contract: creation bytecode and ABI
    Contract(ContractArgs),
}

#[derive(Debug, Args)]
struct VerifierArgs {
    /// The sealed package
    #[arg(value_name = "PACKAGE_DIR")]
    package: PathBuf,
    /// Refuse the package unless it has this digest
    #[arg(long, value_name = "DIGEST")]
    package_digest: Option<Digest>,
    /// The contract's name (default: made from the package's)
    #[arg(long)]
    name: Option<String>,
    /// Where to write the source
    #[arg(long, value_name = "FILE.sol")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct CalldataArgs {
    #[command(flatten)]
    verify: VerifyPackageArgs,
    /// For a universal verifier or a router, which are told the key's digest
    #[arg(long)]
    universal: bool,
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// The sealed package
    #[arg(value_name = "PACKAGE_DIR")]
    package: PathBuf,
    /// Refuse the package unless it has this digest
    #[arg(long, value_name = "DIGEST")]
    package_digest: Option<Digest>,
}

#[derive(Debug, Args)]
struct ContractArgs {
    /// Which one
    #[arg(value_enum)]
    name: ContractName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ContractName {
    /// Verifies under every registered key
    UniversalVerifier,
    /// Finds the verifier of a key; can be stopped
    Router,
    /// Models after ERC-7992
    Registry,
    /// Inferences after ERC-7992
    InferenceVerifier,
    /// Requests for inferences, paid from escrow
    Requests,
    /// The example of a consumer
    CreditLine,
}

impl ContractName {
    const fn contract(self) -> Contract {
        match self {
            Self::UniversalVerifier => Contract::UniversalVerifier,
            Self::Router => Contract::Router,
            Self::Registry => Contract::Registry,
            Self::InferenceVerifier => Contract::InferenceVerifier,
            Self::Requests => Contract::Requests,
            Self::CreditLine => Contract::CreditLine,
        }
    }
}

impl Fail for EvmError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Name { .. } => Exit::Usage,
            Self::Artifact { .. } => Exit::Environment,
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

pub(crate) fn run(args: &EvmArgs, output: Output) -> Result<(), Failure> {
    match &args.command {
        EvmCommand::Verifier(args) => verifier(args, output),
        EvmCommand::Calldata(args) => calldata(args, output),
        EvmCommand::Register(args) => register(args, output),
        EvmCommand::Contract(args) => contract(args, output),
    }
}

/// The package and its verifying key's bytes, which its manifest describes.
fn open(folder: &Path, pinned: Option<Digest>) -> Result<(Package, Vec<u8>), Failure> {
    let package = match pinned {
        Some(digest) => Package::open_pinned(folder, digest),
        None => Package::open(folder),
    };
    let package = package.or_fail()?;
    let key = package
        .sealed()
        .and_then(|sealed| package.read(&sealed.verifying_key))
        .or_fail()?;
    Ok((package, key))
}

fn verifier(args: &VerifierArgs, output: Output) -> Result<(), Failure> {
    let (package, key) = open(&args.package, args.package_digest)?;
    let digest = package.digest();
    let name = args.name.as_deref();
    let contract =
        VerifierContract::of_package(digest, package.manifest_bytes(), &key, name).or_fail()?;
    write(&args.out, contract.source().as_bytes())?;
    let inputs = package.manifest().sealed.as_ref();
    let inputs = inputs.map_or(0, |sealed| sealed.circuit.public_inputs);
    output.result(
        &json!({
            "contract": contract.name(),
            "file": args.out,
            "package": digest,
            "verifying_key": Digest::of(&key),
            "public_inputs": inputs,
        }),
        &format!(
            "contract {} for package {digest}, {inputs} public inputs, written to {}",
            contract.name(),
            args.out.display()
        ),
    )
}

fn calldata(args: &CalldataArgs, output: Output) -> Result<(), Failure> {
    let (manifest, verifying_key) = package_files(&args.verify.files)?;
    // Nothing is given to a contract that would refuse it.
    let verdict = verify(&Request {
        args: &args.verify.verify,
        manifest: &manifest,
        verifying_key: &verifying_key,
    })?
    .verdict;
    let key = verdict.receipt.verifying_key;
    let target = if args.universal {
        Target::Keyed(key)
    } else {
        Target::Generated
    };
    let encode = |call: Call| {
        bytes_to_hex(&call.encode(target, &verdict.receipt.proof, &verdict.public_inputs))
    };
    let (check, require) = (encode(Call::VerifyProof), encode(Call::RequireProof));
    let inputs: Vec<String> = verdict.public_inputs.iter().map(fr_to_hex).collect();
    output.result(
        &json!({
            "verifyProof": check,
            "requireProof": require,
            "key": bytes_to_hex(key.as_bytes()),
            "proof": bytes_to_hex(&verdict.receipt.proof),
            "inputs": inputs,
            "context": verdict.receipt.context,
        }),
        &require,
    )
}

fn register(args: &RegisterArgs, output: Output) -> Result<(), Failure> {
    let (package, key) = open(&args.package, args.package_digest)?;
    let calldata = bytes_to_hex(&Call::register(&key));
    let model = RegisteredModel::of_package(package.digest(), package.manifest_bytes(), &key);
    let model = model.or_fail()?;
    let hex = |digest: Digest| bytes_to_hex(digest.as_bytes());
    output.result(
        &json!({
            "register": calldata,
            "key": hex(model.verifying_key),
            // For a registry after ERC-7992.
            "model": {
                "modelHash": hex(model.package),
                "circuitHash": hex(model.circuit),
                "vkHash": hex(model.verifying_key),
                "proofSystemId": model.backend.proof_system_id(),
                "inputs": model.inputs,
            },
        }),
        &calldata,
    )
}

fn contract(args: &ContractArgs, output: Output) -> Result<(), Failure> {
    let contract = args.name.contract();
    let artifact = contract.artifact().or_fail()?;
    let bytecode = bytes_to_hex(&artifact.bytecode);
    output.result(
        &json!({ "contract": contract.name(), "bytecode": bytecode, "abi": artifact.abi }),
        &bytecode,
    )
}
