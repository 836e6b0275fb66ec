//! What the tests of every JSON Schema share.

mod fields;

use jsonschema::Validator;
use serde_json::{Value, json};

pub(crate) use fields::{Fields, of_schema, of_type};

pub(crate) fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn validator(text: &str) -> Validator {
    // What the envelope's schema refers to is validated by itself.
    let mut schema = schema(text);
    if let Some(payload) = schema.pointer_mut("/properties/payload") {
        payload.as_object_mut().unwrap().remove("contentSchema");
    }
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
}

pub(crate) fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Every object and every leaf of a value, by JSON pointer.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a hostile writer might put in the place of each value, and next to it.
pub(crate) fn hostile(honest: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut found = Vec::new();
    places(honest, "", &mut found);
    for pointer in found {
        let old = honest.pointer(&pointer).unwrap();
        let mut put = |what: &str, new: Value| {
            if *old != new {
                let mut changed = honest.clone();
                *changed.pointer_mut(&pointer).unwrap() = new;
                all.push((format!("{pointer}: {what}"), changed));
            }
        };
        put("true", json!(true));
        put("a fraction", json!(0.5));
        put("a negative number", json!(-1));
        put("an object", json!({}));
        put("an empty array", json!([]));
        put("an empty text", json!(""));
        match old {
            Value::Object(members) => {
                put("null", Value::Null);
                let mut more = members.clone();
                more.insert("extra".to_owned(), json!(1));
                put("a member more", Value::Object(more));
                for name in members.keys() {
                    let mut fewer = members.clone();
                    fewer.remove(name);
                    put(&format!("without {name}"), Value::Object(fewer));
                }
            }
            Value::String(text) => {
                put("a number", json!(0));
                put("a blank before", json!(format!(" {text}")));
                put("a line feed behind", json!(format!("{text}\n")));
                put("a NUL behind", json!(format!("{text}\0")));
            }
            Value::Number(_) => {
                put("null", Value::Null);
                put("above 2^53", json!(9_007_199_254_740_992_u64));
                put("a text", json!("1"));
            }
            Value::Array(_) => put("null", Value::Null),
            Value::Null | Value::Bool(_) => put("a number", json!(0)),
        }
    }
    all
}

/// How many objects a schema describes. Each is closed and requires all of its members.
pub(crate) fn closed_objects(schema: &Value) -> usize {
    let mut objects = 0;
    check(schema, &mut objects);
    objects
}

fn check(schema: &Value, objects: &mut usize) {
    match schema {
        Value::Object(members) => {
            if members.get("type") == Some(&json!("object")) {
                *objects += 1;
                assert_eq!(members["additionalProperties"], json!(false), "{schema}");
                let mut listed: Vec<&str> = members["properties"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(String::as_str)
                    .collect();
                let mut required: Vec<&str> = members["required"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n.as_str().unwrap())
                    .collect();
                listed.sort_unstable();
                required.sort_unstable();
                assert_eq!(listed, required);
            }
            members.values().for_each(|member| check(member, objects));
        }
        Value::Array(items) => items.iter().for_each(|item| check(item, objects)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
