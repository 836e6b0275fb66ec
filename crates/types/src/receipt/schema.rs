//! JSON Schemas (draft 2020-12) of what stands in this module, for readers that are not this one.
//!
//! They say which members there are and what each may hold, and allow no others. What a schema
//! cannot say (one byte form, digests and lengths that must fit) stands in their descriptions and
//! is checked by [`Envelope::parse`](super::Envelope::parse) and
//! [`read_openings`](super::read_openings).

/// Of the envelope.
pub const RECEIPT_SCHEMA: &str = include_str!("../../schema/receipt-v1.schema.json");
/// Of the payload in the envelope: statement and predicate.
pub const STATEMENT_SCHEMA: &str = include_str!("../../schema/proven-inference-v1.schema.json");
/// Of a file of openings.
pub const OPENINGS_SCHEMA: &str = include_str!("../../schema/openings-v1.schema.json");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::opening::WireOpenings;
    use super::super::predicate::WireStatement;
    use super::super::testing::{key, openings, sample};
    use super::super::{
        Envelope, Receipt, RecordValue, TensorRecord, read_openings, write_openings,
    };
    use super::*;
    use crate::dsse::WireEnvelope;
    use crate::field::Fr;
    use crate::manifest::SetupKind;
    use crate::schema_testing::{
        Fields, closed_objects, hostile, of_schema, of_type, schema, validator, value,
    };
    use crate::tensor::{ElemType, IntTensor};

    /// Receipts that differ in whatever a receipt may differ in.
    fn receipts() -> Vec<Receipt> {
        let mut all = vec![sample()];
        let mut committed = sample();
        committed.proof = [9; 320].into();
        committed.setup.kind = SetupKind::Ceremony;
        committed.context.deadline = crate::manifest::MAX_COUNT;
        committed.proved_at = 0;
        all.push(committed);
        for elem in [ElemType::Uint8, ElemType::Int8, ElemType::Int32] {
            for shape in [vec![1], vec![2], vec![3], vec![1, 1, 1, 1, 1, 1, 1, 5]] {
                let count = shape.iter().product();
                let tensor = IntTensor::new(elem, shape.clone(), vec![elem.max(); count]).unwrap();
                let hidden = |value| TensorRecord {
                    name: "a/b:0".to_owned(),
                    elem,
                    shape: shape.clone(),
                    value,
                };
                let mut other = sample();
                other.inputs = vec![TensorRecord::public("a/b:0", tensor)];
                all.push(other);
                for value in [
                    RecordValue::Hashed(Fr::from(-1)),
                    RecordValue::Private(Fr::from(0)),
                ] {
                    let mut other = sample();
                    other.outputs = vec![hidden(value)];
                    all.push(other);
                }
            }
        }
        all
    }

    #[test]
    fn the_schemas_accept_what_is_written() {
        let (outer, inner) = (validator(RECEIPT_SCHEMA), validator(STATEMENT_SCHEMA));
        let all = receipts();
        assert_eq!(all.len(), 2 + 3 * 4 * 3);
        for receipt in all {
            let envelope = Envelope::sign(receipt, &key()).unwrap();
            outer
                .validate(&value(&envelope.to_bytes().unwrap()))
                .unwrap();
            inner.validate(&value(envelope.payload())).unwrap();
        }
        let bytes = write_openings(&openings()).unwrap();
        validator(OPENINGS_SCHEMA).validate(&value(&bytes)).unwrap();
    }

    /// The committed receipts that must verify for ever.
    #[test]
    fn the_schemas_accept_the_committed_receipts() {
        let (outer, inner) = (validator(RECEIPT_SCHEMA), validator(STATEMENT_SCHEMA));
        for bytes in [
            include_bytes!("../../../verifier/tests/goldens/receipt_v1.json").as_slice(),
            include_bytes!("../../../verifier/tests/goldens/plain/receipt.json"),
            include_bytes!("../../../verifier/tests/goldens/lookup/receipt.json"),
            include_bytes!("../../../verify-cli/tests/golden/receipt.json"),
        ] {
            outer.validate(&value(bytes)).unwrap();
            let envelope = Envelope::parse(bytes).unwrap();
            inner.validate(&value(envelope.payload())).unwrap();
        }
    }

    /// The code with which the reader refuses a statement.
    fn refused(statement: &Value) -> &'static str {
        let text = statement.to_string();
        Receipt::from_payload(text.as_bytes()).unwrap_err().code()
    }

    /// The schema refuses each change of form; so does the reader, so that neither is the looser.
    #[test]
    fn hostile_changes_of_form_are_refused_by_schema_and_reader() {
        let mut cases = 0;
        let outer = validator(RECEIPT_SCHEMA);
        let inner = validator(STATEMENT_SCHEMA);
        for receipt in [receipts().swap_remove(0), receipts().swap_remove(1)] {
            let envelope = Envelope::sign(receipt, &key()).unwrap();
            for (what, changed) in hostile(&value(&envelope.to_bytes().unwrap())) {
                assert!(!outer.is_valid(&changed), "envelope {what}");
                cases += 1;
            }
            let honest = value(envelope.payload());
            // Members in another order: what is refused before that is refused for its content.
            assert_eq!(refused(&honest), "receipt-not-canonical");
            for (what, changed) in hostile(&honest) {
                assert!(!inner.is_valid(&changed), "statement {what}");
                assert_ne!(
                    refused(&changed),
                    "receipt-not-canonical",
                    "statement {what}"
                );
                cases += 1;
            }
        }
        let inner = validator(OPENINGS_SCHEMA);
        for (what, changed) in hostile(&value(&write_openings(&openings()).unwrap())) {
            // A negative number is a value; null is the salt of a hashed tensor.
            if inner.is_valid(&changed) {
                let value = what.starts_with("/openings/") && what.contains("/values/");
                assert!(value && what.ends_with("a negative number"), "{what}");
                continue;
            }
            assert!(
                read_openings(changed.to_string().as_bytes()).is_err(),
                "{what}"
            );
            cases += 1;
        }
        assert!(cases > 1000, "{cases}");
    }

    /// Well-formed values that contradict what is beside them.
    #[test]
    fn members_that_do_not_go_together_are_refused_by_the_schema() {
        let inner = validator(STATEMENT_SCHEMA);
        let honest = value(&sample().to_payload().unwrap());
        let change = |pointer: &str, new: Value| {
            let mut changed = honest.clone();
            *changed.pointer_mut(pointer).unwrap() = new;
            changed
        };
        let moved = |pointer: &str, name: &str, new: Value| {
            let mut changed = honest.clone();
            let record = changed.pointer_mut(pointer).unwrap();
            record.as_object_mut().unwrap().insert(name.to_owned(), new);
            changed
        };
        let word = json!(format!("0x{}", "0".repeat(64)));
        let committed = {
            let mut receipt = sample();
            receipt.proof = [9; 320].into();
            value(&receipt.to_payload().unwrap())["predicate"].clone()
        };
        for (what, changed) in [
            (
                "id",
                change("/predicate/proofSystem/id", json!("0x39e7a114")),
            ),
            (
                "name",
                change("/predicate/proofSystem", committed["proofSystem"].clone()),
            ),
            (
                "proof",
                change("/predicate/proof", committed["proof"].clone()),
            ),
            (
                "values of a hidden one",
                moved("/predicate/inputs/1", "data", json!("AAAA")),
            ),
            (
                "commitment of a public one",
                moved("/predicate/inputs/0", "commitment", word),
            ),
            (
                "visibility",
                change("/predicate/inputs/0/visibility", json!("private")),
            ),
            (
                "visibility",
                change("/predicate/inputs/1/visibility", json!("public")),
            ),
            ("null", moved("/predicate/inputs/1", "data", Value::Null)),
            ("base64", change("/predicate/inputs/0/data", json!("AID+="))),
            (
                "loose bits",
                change("/predicate/inputs/0/data", json!("AIF=")),
            ),
            (
                "upper case",
                change(
                    "/predicate/package",
                    json!(format!("sha256:{}", "A".repeat(64))),
                ),
            ),
        ] {
            assert!(!inner.is_valid(&changed), "{what}");
            // An absent value that is spelled out is a matter of the one form.
            let by_form = refused(&changed) == "receipt-not-canonical";
            assert_eq!(by_form, what == "null", "{what}");
        }
    }

    /// No object of a schema is open, and each lists what it requires: all its members.
    #[test]
    fn every_object_is_closed() {
        for (text, count) in [
            (RECEIPT_SCHEMA, 2),
            (STATEMENT_SCHEMA, 14),
            (OPENINGS_SCHEMA, 2),
        ] {
            assert_eq!(closed_objects(&schema(text)), count);
        }
    }

    /// What serde reads and writes, and what the schema knows, are the same members and variants.
    #[test]
    fn types_and_schemas_have_the_same_members() {
        let mut payloads = Fields::default();
        let mut envelopes = Fields::default();
        for receipt in receipts() {
            let envelope = Envelope::sign(receipt, &key()).unwrap();
            payloads.join(of_type::<WireStatement>(&value(envelope.payload())));
            envelopes.join(of_type::<WireEnvelope>(&value(
                &envelope.to_bytes().unwrap(),
            )));
        }
        let files = of_type::<WireOpenings>(&value(&write_openings(&openings()).unwrap()));
        for (text, found) in [
            (STATEMENT_SCHEMA, &payloads),
            (RECEIPT_SCHEMA, &envelopes),
            (OPENINGS_SCHEMA, &files),
        ] {
            assert_eq!(
                found.differences(&of_schema(&schema(text))),
                Vec::<String>::new()
            );
        }
        // A comparison that finds nothing must be able to find something.
        let mut fewer = schema(STATEMENT_SCHEMA);
        fewer
            .pointer_mut("/$defs/publicTensor/properties")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove("digest");
        fewer["$defs"]["context"]["properties"]["extra"] = json!({ "type": "string" });
        fewer["$defs"]["setup"]["properties"]["kind"]["enum"] = json!(["single-party", "solo"]);
        assert_eq!(
            payloads.differences(&of_schema(&fewer)),
            [
                "/predicate/context/extra is in the schema only",
                "/predicate/inputs/*/digest is in the type only",
                "/predicate/outputs/*/digest is in the type only",
                "/predicate/setup/kind = ceremony is in the type only",
                "/predicate/setup/kind = solo is in the schema only",
            ]
        );
    }
}
