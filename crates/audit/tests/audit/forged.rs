//! An operator who knows the secret of its own setup, and so proves what it likes. Its proofs
//! verify; what the model computes does not change.

use std::fs;

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use proofmark_audit::Status;
use proofmark_engine::BackendChoice;
use proofmark_prover::Transcript;
use proofmark_types::receipt::{RecordValue, TensorRecord};
use proofmark_types::{Context, Envelope, IntTensor};
use proofmark_verifier::{Proof, VerifyingKey, encode_proof, encode_verifying_key};

use crate::fixture::{Case, NOW, blames, fails, finding, nonce, reopen, service_key};

fn g1(x: Fr) -> G1Affine {
    (G1Affine::generator() * x).into_affine()
}

fn g2(x: Fr) -> G2Affine {
    (G2Affine::generator() * x).into_affine()
}

#[test]
fn outputs_forged_with_the_setups_secret_are_found_by_computing_them_again() {
    let mut case = Case::new(BackendChoice::Plain);
    let honest = case.receipt(0);
    // Keys of which the operator knows every logarithm: there is no circuit behind them.
    let sealed = reopen(&case.package()).sealed().unwrap().clone();
    let wires = usize::try_from(sealed.circuit.public_inputs).unwrap() + 1;
    let [alpha, beta, delta] = [11_u64, 12, 13].map(Fr::from);
    let ic: Vec<Fr> = (100_u64..).take(wires).map(Fr::from).collect();
    let key = VerifyingKey {
        groth16: ark_groth16::VerifyingKey {
            alpha_g1: g1(alpha),
            beta_g2: g2(beta),
            gamma_g2: G2Affine::generator(),
            delta_g2: g2(delta),
            gamma_abc_g1: ic.iter().copied().map(g1).collect(),
        },
        delta_committed_g2: None,
    };
    let verifying_key = case.exchange("verifying_key.bin", &encode_verifying_key(&key).unwrap());
    let transcript = fs::read(case.package().join("transcript.json")).unwrap();
    let mut transcript = Transcript::parse(&transcript).unwrap();
    transcript.verifying_key = verifying_key.digest;
    let transcript = case.exchange("transcript.json", &transcript.to_bytes());
    case.reseal(|manifest| {
        let sealed = manifest.sealed.as_mut().unwrap();
        sealed.verifying_key = verifying_key.clone();
        sealed.transcript = transcript.clone();
    });
    case.request.pinned = Some(case.digest);

    let prove = |number: u64, step: i32| {
        let mut receipt = honest.receipt().clone();
        receipt.package = case.digest;
        receipt.verifying_key = verifying_key.digest;
        receipt.setup.transcript = transcript.digest;
        receipt.context = Context::off_chain(nonce(number));
        receipt.proved_at = NOW;
        let record = &mut receipt.outputs[0];
        let RecordValue::Public(tensor) = &record.value else {
            panic!("the output is public");
        };
        let mut data = tensor.data().to_vec();
        data[0] += step;
        let tensor = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
        *record = TensorRecord::public(&record.name, tensor);
        let layout = case.manifest().layout().unwrap();
        let public = receipt.public_inputs(&layout).unwrap();
        let inputs: Fr = ic[0]
            + ic[1..]
                .iter()
                .zip(&public)
                .map(|(ic, x)| *ic * x)
                .sum::<Fr>();
        let [a, b] = [5_u64, 7].map(Fr::from);
        let proof = ark_groth16::Proof {
            a: g1(a),
            b: g2(b),
            c: g1((a * b - alpha * beta - inputs) / delta),
        };
        receipt.proof = encode_proof(Proof::from(proof));
        Envelope::sign(receipt, &service_key()).unwrap()
    };
    case.give_receipt("a-true.json", &prove(1, 0));
    case.give_receipt("b-false.json", &prove(2, 1));

    // With the proving key it is seen at once that the keys do not belong together.
    let report = case.audit();
    let [proving, agree, runtime, evaluator] = fails(
        &report,
        [
            "proving-key",
            "receipts-agree",
            "samples-runtime",
            "samples-evaluator",
        ],
    );
    // Two answers to one input contradict each other before anything is computed.
    blames(agree, &["b-false.json"]);
    assert!(
        agree
            .meaning
            .contains("one of the two is false although its proof verifies")
    );
    assert!(agree.culprits[0].reason.contains("a-true.json"));
    assert!(proving.meaning.contains("do not belong together"));
    for again in [runtime, evaluator] {
        blames(again, &["b-false.json"]);
        assert!(
            again
                .meaning
                .contains("forged by somebody who knows the setup's secret")
        );
    }
    assert_eq!(finding(&report, "receipts-proof").status, Status::Pass);

    // Kept back, the samples still show it, without the true one beside it too.
    fs::remove_file(case.package().join("proving_key.bin")).unwrap();
    fs::remove_file(case.request.receipts[0].join("a-true.json")).unwrap();
    let report = case.audit();
    fails(&report, ["samples-runtime", "samples-evaluator"]);
    let key = finding(&report, "proving-key");
    assert!(key.meaning.contains("a verifying key alone does not name"));
}
