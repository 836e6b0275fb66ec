//! The tamper manifest as readers see it: a table in `docs/reference/receipt.md`, which is the one
//! that the tests walk. `UPDATE_EXPECT=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use crate::tamper::manifest::{Fate, ROWS};

/// A leaf of the envelope.
pub(crate) struct EnvelopeRow {
    pub(crate) leaf: &'static str,
    pub(crate) tampering: &'static str,
    /// Changed alone.
    pub(crate) kept: &'static str,
    /// With a stranger's signature where there must be one.
    pub(crate) resigned: Fate,
}

pub(crate) static ENVELOPE: [EnvelopeRow; 4] = [
    EnvelopeRow {
        leaf: "/payload",
        tampering: "the statement of another signer",
        kept: "key-id-mismatch",
        resigned: Fate::Claim,
    },
    EnvelopeRow {
        leaf: "/payloadType",
        tampering: "another type",
        kept: "receipt-unsupported",
        resigned: Fate::Rejected("receipt-unsupported"),
    },
    EnvelopeRow {
        leaf: "/signatures/0/keyid",
        tampering: "the id of another key",
        kept: "key-id-mismatch",
        resigned: Fate::Rejected("key-id-mismatch"),
    },
    EnvelopeRow {
        leaf: "/signatures/0/sig",
        tampering: "another signature",
        kept: "signature-invalid",
        resigned: Fate::Rejected("signature-invalid"),
    },
];

const START: &str = "<!-- tamper manifest: generated -->\n";
const END: &str = "<!-- end of the tamper manifest -->\n";

fn fate(fate: Fate) -> String {
    match fate {
        Fate::Rejected(code) => format!("`{code}`"),
        Fate::Claim => "claim".to_owned(),
        Fate::None => "–".to_owned(),
    }
}

fn table() -> String {
    let mut text =
        "| leaf | of | tampering | signature kept | signed again | consistent, signed again |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for row in &ENVELOPE {
        writeln!(
            text,
            "| `{}` | envelope | {} | `{}` | {} | – |",
            row.leaf,
            row.tampering,
            row.kept,
            fate(row.resigned)
        )
        .unwrap();
    }
    for row in ROWS {
        writeln!(
            text,
            "| `{}` | {} | {} | `{}` | {} | {} |",
            row.leaf,
            row.of.words(),
            row.tampering,
            row.kept,
            fate(row.resigned),
            fate(row.consistent)
        )
        .unwrap();
    }
    text
}

#[test]
fn the_documented_table_is_the_one_that_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/receipt.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(START).unwrap();
    let (old, tail) = rest.split_once(END).unwrap();
    let now = table();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{head}{START}{now}{END}{tail}")).unwrap();
    } else {
        assert_eq!(old, now, "UPDATE_EXPECT=1 writes the table anew");
    }
}
