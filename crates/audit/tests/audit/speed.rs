//! How long receipts take. The figure is printed; the bound is one that a debug build on a busy
//! machine keeps, so that only a change of kind fails.

use std::time::Instant;

use proofmark_engine::BackendChoice;

use crate::fixture::{Case, fails};

#[test]
fn receipts_are_verified_as_a_batch() {
    let count = std::env::var("AUDIT_RECEIPTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(64);
    let mut case = Case::new(BackendChoice::Plain);
    let start = Instant::now();
    case.give_honest(count);
    let proving = start.elapsed();
    case.request.samples = 0;
    let start = Instant::now();
    let report = case.audit();
    let all = start.elapsed();
    let receipts = std::mem::take(&mut case.request.receipts);
    let start = Instant::now();
    case.audit();
    let without = start.elapsed();
    case.request.receipts = receipts;
    fails(&report, []);
    assert_eq!(report.receipts.accepted as u64, count);
    let each = all.saturating_sub(without).as_secs_f64() / f64::from(u32::try_from(count).unwrap());
    println!(
        "{count} receipts: proven in {:.1} s, audited in {:.2} s, of which {:.2} s for the package; \
         {:.3} ms a receipt",
        proving.as_secs_f64(),
        all.as_secs_f64(),
        without.as_secs_f64(),
        each * 1e3
    );
    assert!(each < 0.02, "{each} s a receipt");
}
