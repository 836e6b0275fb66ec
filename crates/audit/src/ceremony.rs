//! The seam to setups with contributions of many: what verifies their transcripts plugs in here.

use proofmark_types::manifest::Sealed;

use crate::check::Check;
use crate::finding::Finding;

/// Whether the contributions in a ceremony's transcript end in the package's keys. This version does
/// not verify them, which it says instead of believing them.
pub(crate) fn check(sealed: &Sealed) -> Finding {
    Finding::not_checked(
        Check::SetupKind,
        "Manifest and transcript agree that the keys come from a ceremony. Nobody can forge under \
         such keys as long as one contributor was honest. That the contributions end in these keys \
         is not shown here.",
        "run `proofmark ceremony verify` on the package with the powers of tau it began from",
    )
    .evidence("transcript", sealed.transcript.digest)
}
