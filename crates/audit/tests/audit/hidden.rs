//! Hidden inputs, and owners who open them or say that they do.

use std::fs;

use proofmark_audit::Status;
use proofmark_engine::BackendChoice;
use proofmark_types::Context;
use proofmark_types::field::fr_from_bytes;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::{Opening, write_openings};

use crate::fixture::{Case, NOW, blames, fails, finding, nonce};

/// A package with a private input, and receipts of it; the openings of each.
fn private() -> (Case, Vec<Opening>) {
    let case = Case::of(BackendChoice::Plain, |manifest| {
        manifest.inputs[0].visibility = Visibility::Private;
    });
    let mut openings = Vec::new();
    for number in 0..3_usize {
        let context = Context::off_chain(nonce(number as u64));
        let proven = case.proven(number, context, NOW);
        case.give(&format!("{number}.json"), &proven.bytes);
        let salt = proven
            .openings
            .iter()
            .find(|o| o.tensor == case.manifest().inputs[0].name);
        openings.push(Opening {
            name: case.manifest().inputs[0].name.clone(),
            tensor: case.input(number),
            salt: Some(fr_from_bytes(&salt.unwrap().salt).unwrap()),
        });
    }
    (case, openings)
}

fn open(case: &Case, name: &str, opening: &Opening) {
    let bytes = write_openings(std::slice::from_ref(opening)).unwrap();
    fs::write(case.path("openings").join(name), bytes).unwrap();
}

#[test]
fn hidden_inputs_are_open_questions_until_their_owner_opens_them() {
    let (mut case, openings) = private();
    fs::create_dir(case.path("openings")).unwrap();
    let report = case.audit();
    fails(&report, []);
    assert_eq!(report.receipts.accepted, 3);
    for id in [
        "receipts-openings",
        "receipts-agree",
        "samples-runtime",
        "samples-evaluator",
    ] {
        let open = finding(&report, id);
        assert_eq!(open.status, Status::NotChecked, "{id}");
        assert!(open.remedy.as_ref().unwrap().contains("opening"), "{id}");
    }

    // Opened, they are computed again; under either name.
    open(&case, "0.openings", &openings[0]);
    open(&case, "1.json.openings", &openings[1]);
    case.request.openings = vec![case.path("openings")];
    let report = case.audit();
    fails(&report, []);
    assert_eq!((report.samples.eligible, report.samples.computed), (2, 2));
    assert_eq!(finding(&report, "receipts-openings").status, Status::Pass);
    assert_eq!(finding(&report, "samples-runtime").status, Status::Pass);

    // The opening of another receipt, and one of values that were not proven.
    open(&case, "2.openings", &openings[1]);
    let mut changed = openings[0].clone();
    changed.tensor = case.input(9);
    open(&case, "0.openings", &changed);
    fs::write(case.path("openings").join("1.json.openings"), b"{}").unwrap();
    open(&case, "stranger.openings", &openings[0]);
    let report = case.audit();
    let [wrong] = fails(&report, ["receipts-openings"]);
    blames(wrong, &["0.openings", "1.json.openings", "2.openings"]);
    assert!(
        wrong
            .meaning
            .contains("names other inputs or outputs than the model was run on")
    );
    assert!(wrong.evidence.iter().any(|e| e.value == "stranger"));
    assert_eq!(report.samples.computed, 0);
    // The receipts stand all the same.
    assert_eq!(report.receipts.accepted, 3);
}
