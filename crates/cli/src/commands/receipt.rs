//! `proofmark receipt`: opening commitments, and the schemas of the formats.

use proofmark_types::attestation::schema::{ATTESTATION_SCHEMA, PACKAGE_AUDIT_SCHEMA};
use proofmark_types::receipt::schema::{OPENINGS_SCHEMA, RECEIPT_SCHEMA, STATEMENT_SCHEMA};
use proofmark_verify::{Exit, Failure, open};

use crate::arguments::{ReceiptArgs, ReceiptCommand, SchemaOf};
use crate::output::Output;

pub(crate) fn run(args: &ReceiptArgs, output: Output) -> Result<(), Failure> {
    match &args.command {
        ReceiptCommand::Open(args) => {
            let opened = open(args)?;
            output.result(&opened.json(), &opened.text())
        }
        ReceiptCommand::Schema(args) => {
            let text = match args.of {
                SchemaOf::Envelope => RECEIPT_SCHEMA,
                SchemaOf::Statement => STATEMENT_SCHEMA,
                SchemaOf::Openings => OPENINGS_SCHEMA,
                SchemaOf::Attestation => ATTESTATION_SCHEMA,
                SchemaOf::PackageAudit => PACKAGE_AUDIT_SCHEMA,
            };
            let schema = serde_json::from_str(text)
                .map_err(|error| Failure::of(Exit::Environment, "internal", &error))?;
            output.result(&schema, text.trim_end())
        }
    }
}
