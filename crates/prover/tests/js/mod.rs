//! snarkjs for tests, from npm, as the lock file beside this names it.

mod npm;

use std::path::{Path, PathBuf};

pub(crate) use npm::run;

/// snarkjs's command line.
pub(crate) fn installed() -> PathBuf {
    // Of whichever crate's tests this is a part, the packages are one crate's.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../prover/tests/js");
    npm::packages(&source, "snarkjs").join("node_modules/snarkjs/build/cli.cjs")
}
