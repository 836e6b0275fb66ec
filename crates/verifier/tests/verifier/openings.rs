//! The owner of a hidden tensor opens it, and nobody opens it to anything else: the real receipts
//! of both backends with the openings that were written beside them.

use std::path::PathBuf;

use ark_bn254::Fr;
use ark_ff::Field as _;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::{Opening, read_openings};
use proofmark_types::{Envelope, IntTensor};
use proofmark_verifier::check_openings;

use crate::fixture::code;

struct Real {
    receipt: Envelope,
    /// Of the same package: another sample, other salts.
    other: Envelope,
    openings: Vec<Opening>,
}

fn real() -> [Real; 2] {
    ["plain", "lookup"].map(|name| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
        let read = |file: &str| std::fs::read(folder.join(name).join(file)).unwrap();
        Real {
            receipt: Envelope::parse(&read("receipt.json")).unwrap(),
            other: Envelope::parse(&read("other.json")).unwrap(),
            openings: read_openings(&read("openings.json")).unwrap(),
        }
    })
}

#[test]
fn an_opening_opens_its_receipt_and_no_other() {
    for Real {
        receipt,
        other,
        openings,
    } in real()
    {
        let names: Vec<&str> = openings.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(check_openings(&receipt, &openings).unwrap(), names);
        assert_eq!(code(check_openings(&other, &openings)), "opening-mismatch");
        assert_eq!(check_openings(&receipt, &[]).unwrap(), Vec::<String>::new());
        let records = receipt
            .receipt()
            .inputs
            .iter()
            .chain(&receipt.receipt().outputs);
        let hidden: Vec<&str> = records
            .filter(|record| record.visibility() != Visibility::Public)
            .map(|record| record.name.as_str())
            .collect();
        assert_eq!(names, hidden, "all that is hidden was kept for its owner");
    }
}

/// Every value moved, the salt moved, taken away, and given where there is none.
#[test]
fn nothing_else_opens_it() {
    for Real {
        receipt, openings, ..
    } in real()
    {
        for opening in &openings {
            let refused = |opening: Opening| {
                assert_eq!(
                    code(check_openings(&receipt, &[opening])),
                    "opening-mismatch"
                );
            };
            let tensor = &opening.tensor;
            for at in 0..tensor.len() {
                let mut data = tensor.data().to_vec();
                data[at] ^= 1;
                refused(Opening {
                    tensor: IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap(),
                    ..opening.clone()
                });
            }
            let flat = tensor.clone().reshaped(vec![tensor.len()]).unwrap();
            assert_ne!(flat.shape(), tensor.shape());
            refused(Opening {
                tensor: flat,
                ..opening.clone()
            });
            let salts = match opening.salt {
                Some(salt) => vec![None, Some(Fr::from(0)), Some(salt + Fr::ONE)],
                None => vec![Some(Fr::from(0)), Some(Fr::ONE)],
            };
            for salt in salts {
                refused(Opening {
                    salt,
                    ..opening.clone()
                });
            }
            refused(Opening {
                name: "unknown".to_owned(),
                ..opening.clone()
            });
        }
    }
}

/// Two openings of one name: which of them was compared must not be a question.
#[test]
fn no_tensor_is_opened_twice() {
    for Real {
        receipt, openings, ..
    } in real()
    {
        let twice = [openings.clone(), openings.clone()].concat();
        assert_eq!(code(check_openings(&receipt, &twice)), "opening-mismatch");
    }
}
