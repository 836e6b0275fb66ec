//! `proofmark setup`: the keys of a draft, sealed as a package.

use std::time::Instant;

use proofmark_engine::seal;
use proofmark_verify::Failure;
use serde_json::json;

use crate::arguments::SetupArgs;
use crate::failures::OrFail as _;
use crate::output::{Output, bytes, grouped, seconds};

pub(crate) fn run(args: &SetupArgs, output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let bars = output.bars();
    let package = seal(&args.draft, &args.out, args.backend.choice(), &bars).or_fail()?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();
    let sealed = package.sealed().or_fail()?;
    let digest = package.digest();
    let object = json!({
        "package_digest": digest,
        "folder": args.out,
        "name": package.manifest().name,
        "version": package.manifest().version,
        "setup": sealed.setup_kind.name(),
        "backend": package.manifest().compiler.backend,
        "circuit": sealed.circuit,
        "verifying_key": sealed.verifying_key,
        "proving_key": sealed.proving_key,
        "seconds": elapsed,
    });
    let text = format!(
        "sealed {} version {} in {} ({})\n\
         package    {digest}\n\
         circuit    {} constraints, {} public inputs, {}\n\
         keys       proving {}, verifying {}, {} setup: whoever ran it could forge unless the \
         secret was wiped, as this program does\n\
         Pin the package digest wherever receipts are verified.",
        package.manifest().name,
        package.manifest().version,
        args.out.display(),
        seconds(elapsed),
        grouped(sealed.circuit.constraints),
        grouped(sealed.circuit.public_inputs),
        package.manifest().compiler.backend.proof_system_name(),
        bytes(sealed.proving_key.bytes),
        bytes(sealed.verifying_key.bytes),
        sealed.setup_kind.name(),
    );
    output.result(&object, &text)
}
