//! Times of phase 1 for a power, 16 unless told: made, contributed to, prepared, verified.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement for people"
)]

use std::time::Instant;

use proofmark_ceremony::NoProgress;
use proofmark_ceremony::phase1::{Ptau, contribute, create, prepare, verify};

fn main() {
    let power = std::env::args()
        .nth(1)
        .map_or(16, |power| power.parse().unwrap());
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = |name: &str| folder.path().join(name);
    let time = |what: &str, work: &dyn Fn()| {
        let start = Instant::now();
        work();
        println!("2^{power} {what}: {:.1} s", start.elapsed().as_secs_f64());
    };
    time("new", &|| {
        create(&path("1"), power, "", false, &NoProgress).unwrap();
    });
    time("new, prepared", &|| {
        create(&path("2"), power, "", true, &NoProgress).unwrap();
    });
    std::fs::remove_file(path("2")).unwrap();
    time("contribute", &|| {
        contribute(
            &Ptau::open(&path("1")).unwrap(),
            &path("3"),
            "",
            &NoProgress,
        )
        .unwrap();
    });
    std::fs::remove_file(path("1")).unwrap();
    time("verify", &|| {
        verify(&path("3"), &NoProgress).unwrap();
    });
    time("prepare", &|| {
        prepare(&Ptau::open(&path("3")).unwrap(), &path("4"), &NoProgress).unwrap();
    });
    time("verify, prepared", &|| {
        verify(&path("4"), &NoProgress).unwrap();
    });
}
