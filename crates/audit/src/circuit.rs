//! Step 2: the circuit, compiled again from the integer model.

use proofmark_engine::{circuit_backend, plan_package};
use proofmark_gadgets::Circuit;
use proofmark_ops::{Plan, compiler_epoch};
use proofmark_package::Package;
use proofmark_types::manifest::Sealed;

use crate::check::Check;
use crate::finding::{Finding, Findings};

/// What was compiled.
pub(crate) struct Compiled {
    /// The model, read whole.
    pub(crate) plan: Plan,
    /// Its bytes.
    pub(crate) model: Vec<u8>,
    /// The circuit, when it is the manifest's.
    pub(crate) circuit: Option<Circuit>,
}

pub(crate) fn check(
    package: &Package,
    sealed: &Sealed,
    findings: &mut Findings,
) -> Option<Compiled> {
    let manifest = package.manifest();
    if !package.path_of(&manifest.integer_model.file).exists() {
        findings.not_reached(
            &[Check::CircuitModel, Check::CircuitDigest],
            "The integer model is not in the folder, so the circuit cannot be derived from it: that \
             the proofs are about this model is the operator's word.",
            "ask the operator for the integer model; its digest stands in the manifest",
        );
        return None;
    }
    let (plan, model) = match plan_package(package) {
        Ok(planned) => planned,
        Err(error) => {
            findings.add(
                Finding::fail(
                    Check::CircuitModel,
                    "The integer model in the folder is not the manifest's, cannot be read, or has \
                     other inputs and outputs than the manifest states. Receipts of this package \
                     then do not say what this file computes.",
                )
                .remedy("ask for the integer model with the digest in the manifest")
                .evidence("reason", &error)
                .evidence("code", error.code()),
            );
            findings.not_reached(
                &[Check::CircuitDigest],
                "Without the package's integer model there is nothing to compile.",
                "get the right model first",
            );
            return None;
        }
    };
    findings.add(
        Finding::pass(
            Check::CircuitModel,
            "The integer model reads, every operator in it can be proven exactly, and its inputs \
             and outputs are those of the manifest.",
        )
        .evidence("integer model", manifest.integer_model.digest),
    );
    let (finding, circuit) = compile(package, sealed, &plan);
    findings.add(finding);
    Some(Compiled {
        plan,
        model,
        circuit,
    })
}

fn compile(package: &Package, sealed: &Sealed, plan: &Plan) -> (Finding, Option<Circuit>) {
    let check = Check::CircuitDigest;
    let pin = package.manifest().compiler;
    let backend = circuit_backend(pin.backend);
    let known = compiler_epoch(backend);
    if pin.epoch != known {
        let finding = Finding::not_checked(
            check,
            format!(
                "The package was compiled by compiler epoch {}, this software compiles epoch \
                 {known}: it cannot derive that circuit again.",
                pin.epoch
            ),
            format!(
                "audit with a release of proofmark whose compiler has epoch {}",
                pin.epoch
            ),
        );
        return (
            finding.evidence("backend", pin.backend.proof_system_name()),
            None,
        );
    }
    let circuit = match plan.circuit_for(backend) {
        Ok(circuit) => circuit,
        Err(error) => {
            let finding = Finding::fail(
                check,
                "The integer model does not compile to any circuit, so no keys can have been made \
                 from it.",
            )
            .remedy("ask the operator how the package was made")
            .evidence("reason", error);
            return (finding, None);
        }
    };
    let got = circuit.digest();
    let counts = [
        (circuit.r1cs.num_constraints(), sealed.circuit.constraints),
        (circuit.r1cs.num_wires, sealed.circuit.wires),
        (circuit.r1cs.num_public, sealed.circuit.public_inputs),
    ];
    let same = counts.iter().all(|&(ours, theirs)| ours as u64 == theirs);
    if got == sealed.circuit.digest && same {
        let finding = Finding::pass(
            check,
            "Compiled here from the integer model, the circuit is bit for bit the one that the \
             manifest names: what is proven is this model, weights included.",
        )
        .evidence("circuit", got)
        .evidence("constraints", sealed.circuit.constraints)
        .evidence("compiler epoch", pin.epoch)
        .evidence("backend", pin.backend.proof_system_name());
        return (finding, Some(circuit));
    }
    let finding = Finding::fail(
        check,
        "The integer model compiles to another circuit than the manifest names: the proofs are \
         about another model, or about the same one with other weights, than the package shows.",
    )
    .remedy("do not rely on receipts of this package; ask the operator which model was proven")
    .evidence("manifest", sealed.circuit.digest)
    .evidence("compiled here", got);
    (finding, None)
}
