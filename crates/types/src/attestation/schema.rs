//! JSON Schemas (draft 2020-12) of attestations, for readers that are not this one. What a schema
//! cannot say stands in their descriptions and is checked by
//! [`SignedAttestation::parse`](super::SignedAttestation::parse).

/// Of the envelope.
pub const ATTESTATION_SCHEMA: &str = include_str!("../../schema/attestation-v1.schema.json");
/// Of the payload in the envelope: statement and predicate.
pub const PACKAGE_AUDIT_SCHEMA: &str = include_str!("../../schema/package-audit-v1.schema.json");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::statement::WireStatement;
    use super::super::testing::{key, sample};
    use super::super::{Attestation, SUBJECT_CHECKS, SignedAttestation};
    use super::*;
    use crate::dsse::WireEnvelope;
    use crate::manifest::SetupKind;
    use crate::receipt::schema::RECEIPT_SCHEMA;
    use crate::schema_testing::{
        Fields, closed_objects, hostile, of_schema, of_type, schema, validator, value,
    };

    fn attestations() -> [Attestation; 2] {
        let mut least = sample();
        least.setup_kind = SetupKind::Ceremony;
        least.checks.truncate(SUBJECT_CHECKS.len());
        least.receipts.given = 0;
        least.receipts.accepted = 0;
        least.samples.eligible = 0;
        least.samples.computed = 0;
        least.audited_at = 0;
        least.statement = "é".to_owned();
        [sample(), least]
    }

    #[test]
    fn the_schemas_accept_what_is_written() {
        let (outer, inner) = (
            validator(ATTESTATION_SCHEMA),
            validator(PACKAGE_AUDIT_SCHEMA),
        );
        for attestation in attestations() {
            let signed = SignedAttestation::sign(attestation, &key()).unwrap();
            outer.validate(&value(&signed.to_bytes().unwrap())).unwrap();
            inner.validate(&value(signed.payload())).unwrap();
        }
    }

    /// Envelopes of receipts and of attestations differ in what is inside.
    #[test]
    fn there_is_one_kind_of_envelope() {
        let stripped = |text: &str| {
            let mut schema = schema(text);
            let object = schema.as_object_mut().unwrap();
            for member in ["$id", "title", "description"] {
                object.remove(member).unwrap();
            }
            schema
                .pointer_mut("/properties/payload/contentSchema")
                .unwrap()["$ref"] = json!("");
            schema
        };
        assert_eq!(stripped(ATTESTATION_SCHEMA), stripped(RECEIPT_SCHEMA));
    }

    /// The schema refuses each change of form; so does the reader, so that neither is the looser.
    #[test]
    fn hostile_changes_of_form_are_refused_by_schema_and_reader() {
        let inner = validator(PACKAGE_AUDIT_SCHEMA);
        let mut cases = 0;
        for attestation in attestations() {
            let honest = value(&attestation.to_payload().unwrap());
            let refused = |changed: &Value| {
                Attestation::from_payload(changed.to_string().as_bytes())
                    .unwrap_err()
                    .code()
            };
            // Members in another order: what is refused before that is refused for its content.
            assert_eq!(refused(&honest), "attestation-not-canonical");
            for (what, changed) in hostile(&honest) {
                // The auditor's words may begin with a blank.
                if what == "/predicate/statement: a blank before" {
                    assert!(inner.is_valid(&changed));
                    continue;
                }
                assert!(!inner.is_valid(&changed), "{what}");
                assert_ne!(refused(&changed), "attestation-not-canonical", "{what}");
                cases += 1;
            }
        }
        assert!(cases > 500, "{cases}");
    }

    /// What the schema says of checks and statement is what the reader demands.
    #[test]
    fn bounds_are_those_of_the_reader() {
        let inner = validator(PACKAGE_AUDIT_SCHEMA);
        for at in 0..SUBJECT_CHECKS.len() {
            let mut open = value(&sample().to_payload().unwrap());
            open["predicate"]["checks"][at]["status"] = json!("not-checked");
            assert!(!inner.is_valid(&open), "{at}");
        }
        let mut long = value(&sample().to_payload().unwrap());
        long["predicate"]["statement"] = json!("x".repeat(super::super::MAX_STATEMENT_BYTES));
        assert!(inner.is_valid(&long));
        long["predicate"]["statement"] = json!("x".repeat(super::super::MAX_STATEMENT_BYTES + 1));
        assert!(!inner.is_valid(&long));
        long["predicate"]["statement"] = json!("a\u{202e}b");
        assert!(!inner.is_valid(&long));
        let mut many = value(&sample().to_payload().unwrap());
        let extra = (0..super::super::MAX_CHECKS)
            .map(|at| json!({ "id": format!("check-{at}"), "status": "pass" }));
        many["predicate"]["checks"]
            .as_array_mut()
            .unwrap()
            .extend(extra);
        assert!(!inner.is_valid(&many));
    }

    #[test]
    fn every_object_is_closed() {
        assert_eq!(closed_objects(&schema(ATTESTATION_SCHEMA)), 2);
        assert_eq!(closed_objects(&schema(PACKAGE_AUDIT_SCHEMA)), 9);
    }

    /// What serde reads and writes, and what the schema knows, are the same members and variants.
    #[test]
    fn types_and_schemas_have_the_same_members() {
        let mut payloads = Fields::default();
        let mut envelopes = Fields::default();
        for attestation in attestations() {
            let signed = SignedAttestation::sign(attestation, &key()).unwrap();
            payloads.join(of_type::<WireStatement>(&value(signed.payload())));
            let bytes = signed.to_bytes().unwrap();
            envelopes.join(of_type::<WireEnvelope>(&value(&bytes)));
        }
        for (text, found) in [
            (PACKAGE_AUDIT_SCHEMA, &payloads),
            (ATTESTATION_SCHEMA, &envelopes),
        ] {
            assert_eq!(
                found.differences(&of_schema(&schema(text))),
                Vec::<String>::new()
            );
        }
    }
}
