//! Which members and variants a Rust type has, asked from serde, and which a JSON Schema has.
//!
//! serde's derived readers tell the deserializer the names of all fields of a struct and of all
//! variants of an enum, those that are absent in a value included. A reader that listens while a
//! sample is read therefore sees the whole type, as far as the samples reach.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use serde_json::{Error, Value};

/// Members as `/a/*/b`, variants as `/a/kind = name`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeSet<String>);

impl Fields {
    /// Adds those of another sample.
    pub(crate) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What one has and the other has not, in order. `self` is the type's.
    pub(crate) fn differences(&self, schema: &Self) -> Vec<String> {
        self.0
            .symmetric_difference(&schema.0)
            .map(|name| {
                let side = if self.0.contains(name) {
                    "type"
                } else {
                    "schema"
                };
                format!("{name} is in the {side} only")
            })
            .collect()
    }
}

/// Of a type, as far as this sample reaches into it.
pub(crate) fn of_type<T: DeserializeOwned>(sample: &Value) -> Fields {
    let found = RefCell::default();
    let listener = Listener {
        value: sample.clone(),
        pointer: String::new(),
        found: &found,
    };
    if let Err(error) = T::deserialize(listener) {
        panic!("the sample is not of the type: {error}");
    }
    Fields(found.into_inner())
}

/// Of a schema: the properties of its objects, and the enumerated texts of members that are an
/// enum. A text with one value only may be either a constant of the format or an enum of one
/// variant, so `const` stands for the first and `enum` for the second.
pub(crate) fn of_schema(schema: &Value) -> Fields {
    let mut found = BTreeSet::new();
    walk(schema, schema, "", &mut found);
    Fields(found)
}

fn walk(root: &Value, schema: &Value, pointer: &str, found: &mut BTreeSet<String>) {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').unwrap();
        walk(root, root.pointer(target).unwrap(), pointer, found);
    }
    for branch in schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        walk(root, branch, pointer, found);
    }
    if let Some(items) = schema.get("items") {
        walk(root, items, &format!("{pointer}/*"), found);
    }
    for (name, member) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let pointer = format!("{pointer}/{name}");
        walk(root, member, &pointer, found);
        found.insert(pointer);
    }
    for variant in schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        found.insert(format!("{pointer} = {}", variant.as_str().unwrap()));
    }
}

struct Listener<'f> {
    value: Value,
    pointer: String,
    found: &'f RefCell<BTreeSet<String>>,
}

impl Listener<'_> {
    fn at(&self, value: Value, name: &str) -> Self {
        Self {
            value,
            pointer: format!("{}/{name}", self.pointer),
            found: self.found,
        }
    }
}

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.value.take() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::String(text) => visitor.visit_string(text),
            Value::Number(number) => number.deserialize_any(visitor),
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.into_iter(),
                parent: self,
            }),
            Value::Object(members) => visitor.visit_map(Members {
                members: members.into_iter(),
                next: None,
                parent: self,
            }),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let names = fields
            .iter()
            .map(|field| format!("{}/{field}", self.pointer));
        self.found.borrow_mut().extend(names);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let names = variants
            .iter()
            .map(|name| format!("{} = {name}", self.pointer));
        self.found.borrow_mut().extend(names);
        let Value::String(text) = self.value else {
            return Err(Error::custom("an enum that is no text"));
        };
        visitor.visit_enum(text.into_deserializer())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'f> {
    items: std::vec::IntoIter<Value>,
    parent: Listener<'f>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let item = self.items.next();
        item.map(|item| seed.deserialize(self.parent.at(item, "*")))
            .transpose()
    }
}

struct Members<'f> {
    members: serde_json::map::IntoIter,
    next: Option<(String, Value)>,
    parent: Listener<'f>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next = self.members.next();
        let name = self.next.as_ref().map(|(name, _)| name.clone());
        name.map(|name| {
            let name: StringDeserializer<Error> = name.into_deserializer();
            seed.deserialize(name)
        })
        .transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((name, value)) = self.next.take() else {
            return Err(Error::custom("a value without a key"));
        };
        seed.deserialize(self.parent.at(value, &name))
    }
}
