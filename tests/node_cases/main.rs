//! The ONNX project's backend node cases: each is exact, cannot be loaded by ONNX Runtime, or is
//! refused with a reason. None fails.

mod archive;
mod derive;
mod report;
mod setting;
mod verdict;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use archive::{COUNT, Case};
use proofmark_onnx::{Limits, Model};
use report::Judged;
use verdict::{Verdict, judge};

/// Judges all cases on all processors, and keeps their order.
fn all(cases: &[Case]) -> Judged {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(cases.len()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = judge(case);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((case.name.clone(), verdict));
                }
            });
        }
    });
    let mut judged = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    judged.sort_by(|(a, _), (b, _)| a.cmp(b));
    judged
}

fn is(case: &Case, what: fn(&Model) -> bool) -> bool {
    proofmark_onnx::parse(&case.model, &Limits::default()).is_ok_and(|model| what(&model))
}

#[test]
fn every_case_is_exact_or_explained() {
    let cases = archive::cases();
    assert_eq!(cases.len(), COUNT);
    let judged = all(&cases);
    assert_eq!(judged.len(), COUNT);
    let derived = all(&derive::derived(&cases));
    assert!(!derived.is_empty());
    let eight_bit = cases
        .iter()
        .filter(|case| is(case, setting::eight_bit))
        .map(|case| case.name.clone());
    let page = report::page(&judged, &eight_bit.collect(), &derived);
    let stale: Vec<String> = [
        ("tests/node_cases/cases.csv", report::csv(&judged)),
        ("tests/node_cases/derived.csv", report::csv(&derived)),
        ("docs/results/onnx-node-cases.md", page),
    ]
    .iter()
    .filter_map(|(file, text)| report::check(file, text).err())
    .collect();
    let failed: Vec<String> = judged
        .iter()
        .chain(&derived)
        .filter(|(_, verdict)| matches!(verdict, Verdict::Fail { .. }))
        .map(|(name, verdict)| format!("{name}: {verdict}"))
        .collect();
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(stale.is_empty(), "{}", stale.join("\n"));
    for (case, (name, verdict)) in cases.iter().zip(&judged) {
        assert_eq!(&case.name, name);
        let fine = matches!(verdict, Verdict::Exact { .. } | Verdict::CannotLoad { .. });
        assert!(fine || !is(case, setting::owed), "{name}: {verdict}");
    }
}
