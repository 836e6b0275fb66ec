//! The committed sample models: pinned circuits, reported accuracy, and agreement of ONNX Runtime,
//! evaluator and witness on real, random and extreme inputs.
//!
//! `PROOFMARK_DEEP=1` runs 10,000 inputs a model through all three instead of a share.

use std::fmt::Write as _;
use std::fs;

use proofmark_gadgets::Backend;
use proofmark_tensor::IntTensor;
use proofmark_tests::build::random_tensor;
use proofmark_tests::samples::{
    SAMPLES, arg_max, folder, heldout, integer_model, manifest, quantized,
};
use proofmark_tests::{Checked, Random};
use proofmark_types::Digest;

fn deep() -> bool {
    std::env::var_os("PROOFMARK_DEEP").is_some()
}

/// `models/circuits.csv` and `circuits-lookup.csv`: a change of any circuit must be seen, because it makes every key void.
#[test]
fn circuits_are_pinned() {
    pin("circuits.csv", Backend::Plain);
    pin("circuits-lookup.csv", Backend::Committed);
}

fn pin(file: &str, backend: Backend) {
    let mut text =
        String::from("model,circuit digest,constraints,wires,public inputs,non-zero entries\n");
    for name in SAMPLES {
        let plan = Checked::load(&integer_model(name)).plan;
        let circuit = plan.circuit_for(backend).expect("it compiles");
        let r1cs = &circuit.r1cs;
        writeln!(
            text,
            "{name},{},{},{},{},{}",
            circuit.digest(),
            r1cs.num_constraints(),
            r1cs.num_wires,
            r1cs.num_public,
            r1cs.non_zero()
        )
        .expect("a string takes it");
    }
    let path = folder(file);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &text).expect("the file can be written");
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        text,
        "a circuit changed: if that is meant, raise the compiler epoch and run with UPDATE_EXPECT=1"
    );
}

#[test]
fn compiling_twice_gives_one_circuit() {
    for name in SAMPLES {
        let model = integer_model(name);
        assert_eq!(
            Checked::load(&model).circuit.digest(),
            Checked::load(&model).circuit.digest()
        );
    }
}

#[test]
fn manifests_describe_the_committed_files_and_their_accuracy() {
    for name in SAMPLES {
        let manifest = manifest(name);
        let model = integer_model(name);
        assert_eq!(manifest.integer_model.digest, Digest::of(&model), "{name}");
        let float = fs::read(folder(name).join("float.onnx")).expect("a float model");
        let recorded = manifest.float_model.as_ref().map(|f| f.digest);
        assert_eq!(recorded, Some(Digest::of(&float)), "{name}");

        let checked = Checked::load(&model);
        let (x, y) = heldout(name);
        let right = x
            .iter()
            .zip(&y)
            .filter(|(x, y)| arg_max(&checked.run(&[quantized(&manifest, x)])[0]) == **y)
            .count();
        let accuracy = right as f64 / x.len() as f64;
        let report = &manifest.validation;
        assert_eq!(report.integer_accuracy, Some(accuracy), "{name}");
        assert_eq!(report.checked_samples, x.len() as u64, "{name}");
        let float = report.float_accuracy.expect("labelled samples");
        let allowed = f64::max(0.005, 1.0 / x.len() as f64);
        assert!(
            accuracy >= float - allowed,
            "{name}: float {float}, integer {accuracy}"
        );
        println!(
            "{name}: {} samples, float {float}, integer {accuracy}",
            x.len()
        );
    }
}

#[test]
fn runtime_evaluator_and_witness_agree() {
    for name in SAMPLES {
        let manifest = manifest(name);
        let checked = Checked::load(&integer_model(name));
        let large = checked.circuit.r1cs.num_constraints() > 20_000;
        let total = match (deep(), large) {
            (true, _) => 10_000,
            (false, true) => 60,
            (false, false) => 600,
        };
        let mut random = Random::new(1);
        let spec = &manifest.inputs[0];
        let (lo, hi) = (spec.elem.min(), spec.elem.max());
        let count: usize = spec.shape.iter().product();
        let tensor = |data| IntTensor::new(spec.elem, spec.shape.clone(), data).expect("in range");
        // Extremes: constant tensors, one hot, one cold, stripes.
        let mut inputs: Vec<IntTensor> = [lo, hi, (lo + hi) / 2]
            .iter()
            .map(|&v| tensor(vec![v; count]))
            .collect();
        for period in [2, 3, 7] {
            inputs.push(tensor(
                (0..count)
                    .map(|i| if i % period == 0 { hi } else { lo })
                    .collect(),
            ));
        }
        for at in [0, count / 2, count - 1] {
            for (rest, one) in [(lo, hi), (hi, lo)] {
                inputs.push(tensor(
                    (0..count)
                        .map(|i| if i == at { one } else { rest })
                        .collect(),
                ));
            }
        }
        let (real, _) = heldout(name);
        let share = if deep() { real.len() } else { total / 3 };
        inputs.extend(real.iter().take(share).map(|x| quantized(&manifest, x)));
        while inputs.len() < total {
            inputs.push(random_tensor(&mut random, spec.elem, &spec.shape));
        }
        let compared: usize = inputs
            .iter()
            .map(|input| checked.check(std::slice::from_ref(input)))
            .sum();
        println!(
            "{name}: {} inputs, {compared} outputs compared, 0 different",
            inputs.len()
        );
    }
}
