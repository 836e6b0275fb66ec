//! A model's card: how people are shown a model. What its inputs are called, how they are entered, what
//! it is not good for, and a few samples.
//!
//! It is the operator's own words. It lies beside a package's manifest as `card.json`, is no part of the
//! package and bound by no digest: nothing that is proven or verified may depend on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manifest::{InputSpec, Manifest};

/// Value of [`Card::format`].
pub const CARD_FORMAT: &str = "proofmark/card/v1";
/// Name under which a package's folder holds it.
pub const CARD_FILE: &str = "card.json";
/// Largest card that is read, in bytes.
pub const MAX_CARD_BYTES: usize = 1 << 20;

/// Characters of a short text, such as a title or a column's name.
const MAX_SHORT: usize = 120;
/// Characters of a paragraph.
const MAX_LONG: usize = 2000;
/// Paragraphs, limits and samples, each.
const MAX_LIST: usize = 32;

/// How people are shown a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// [`CARD_FORMAT`].
    pub format: String,
    /// What the model is called among people.
    pub title: String,
    /// What it does, a paragraph each.
    #[serde(default)]
    pub about: Vec<String>,
    /// What it is not good for, a sentence each.
    #[serde(default)]
    pub limits: Vec<String>,
    /// How inputs are entered, by their names; one that is missing is entered as numbers.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputForm>,
    /// Inputs to begin with.
    #[serde(default)]
    pub samples: Vec<Sample>,
}

/// How an input is entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum InputForm {
    /// A grey picture, row by row.
    Image {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Value of an empty (dark) pixel.
        low: f64,
        /// Value of a full (light) pixel.
        high: f64,
        /// Whether a drawing with a pen is such a picture.
        drawing: bool,
        /// Empty pixels around what is drawn, which is brought into that form before it is sent.
        #[serde(default)]
        margin: usize,
    },
    /// A row of a table, a column for each element.
    Table(Vec<Column>),
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What is measured.
    pub name: String,
    /// In what; left out for a number without unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Inputs to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What it shows.
    pub name: String,
    /// The values of every input by its name, row-major.
    pub inputs: BTreeMap<String, Vec<f64>>,
}

/// Why a card is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// It is not in the card's form, or does not fit the model.
    #[error("the card {reason}; docs/spec/package.md describes it")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

impl CardError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "card-malformed",
        }
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, CardError> {
    Err(CardError::Malformed {
        reason: reason.into(),
    })
}

impl Card {
    /// Reads a card, which must fit the model that the manifest describes.
    ///
    /// # Errors
    /// [`CardError::Malformed`].
    pub fn parse(bytes: &[u8], manifest: &Manifest) -> Result<Self, CardError> {
        if bytes.len() > MAX_CARD_BYTES {
            return refuse(format!("is longer than {MAX_CARD_BYTES} bytes"));
        }
        let card: Self = match serde_json::from_slice(bytes) {
            Ok(card) => card,
            Err(error) => return refuse(format!("is not in its form: {error}")),
        };
        card.check(manifest)?;
        Ok(card)
    }

    fn check(&self, manifest: &Manifest) -> Result<(), CardError> {
        if self.format != CARD_FORMAT {
            return refuse(format!(
                "has the format {:?}, this software reads {CARD_FORMAT:?}",
                self.format
            ));
        }
        check_text("title", &self.title, MAX_SHORT)?;
        for (what, texts) in [("about", &self.about), ("limits", &self.limits)] {
            check_count(what, texts.len())?;
            for text in texts {
                check_text(what, text, MAX_LONG)?;
            }
        }
        for (name, form) in &self.inputs {
            let Some(spec) = manifest.inputs.iter().find(|spec| spec.name == *name) else {
                return refuse(format!("describes an input {name:?}, the model has none"));
            };
            form.check(name, elements(spec))?;
        }
        check_count("samples", self.samples.len())?;
        self.samples
            .iter()
            .try_for_each(|sample| sample.check(manifest))
    }
}

impl InputForm {
    fn check(&self, name: &str, elements: Option<usize>) -> Result<(), CardError> {
        let described = match self {
            Self::Image {
                width,
                height,
                low,
                high,
                ..
            } => {
                if !low.is_finite() || !high.is_finite() || low >= high {
                    return refuse(format!("has no range from low to high for {name:?}"));
                }
                width.checked_mul(*height)
            }
            Self::Table(columns) => {
                for column in columns {
                    check_text("column", &column.name, MAX_SHORT)?;
                    if let Some(unit) = &column.unit {
                        check_text("unit", unit, MAX_SHORT)?;
                    }
                }
                Some(columns.len())
            }
        };
        if described.is_none() || described != elements {
            return refuse(format!(
                "describes another number of elements of {name:?} than the model has"
            ));
        }
        Ok(())
    }
}

impl Sample {
    fn check(&self, manifest: &Manifest) -> Result<(), CardError> {
        check_text("sample", &self.name, MAX_SHORT)?;
        let fits = self.inputs.len() == manifest.inputs.len()
            && manifest.inputs.iter().all(|spec| {
                self.inputs.get(&spec.name).is_some_and(|values| {
                    Some(values.len()) == elements(spec) && values.iter().all(|v| v.is_finite())
                })
            });
        if fits {
            Ok(())
        } else {
            refuse(format!(
                "has a sample {:?} that is not one finite number for each element of each input",
                self.name
            ))
        }
    }
}

fn elements(spec: &InputSpec) -> Option<usize> {
    crate::tensor::element_count(&spec.shape).ok()
}

fn check_count(what: &str, count: usize) -> Result<(), CardError> {
    if count > MAX_LIST {
        return refuse(format!("has {count} {what}, at most {MAX_LIST} are shown"));
    }
    Ok(())
}

fn check_text(what: &str, text: &str, longest: usize) -> Result<(), CardError> {
    let shown = text.chars().count();
    if shown == 0 || shown > longest || text.chars().any(char::is_control) {
        return refuse(format!(
            "has a {what} that is not 1 to {longest} characters without control characters"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MANIFEST: &[u8] = include_bytes!("../../../models/risk-classifier/manifest.json");
    const CARD: &[u8] = include_bytes!("../../../models/risk-classifier/card.json");

    fn parse(card: &Value) -> Result<Card, CardError> {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        Card::parse(card.to_string().as_bytes(), &manifest)
    }

    #[test]
    fn a_sample_models_card_is_read() {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let card = Card::parse(CARD, &manifest).unwrap();
        let Some(InputForm::Table(columns)) = card.inputs.get("features") else {
            panic!("{:?}", card.inputs);
        };
        assert_eq!(columns.len(), 30);
        assert!(card.samples.len() >= 2);
        let again = serde_json::to_vec(&card).unwrap();
        assert_eq!(Card::parse(&again, &manifest), Ok(card));
    }

    #[test]
    fn a_card_that_does_not_fit_the_model_is_refused() {
        let good = json!({ "format": CARD_FORMAT, "title": "t" });
        assert!(parse(&good).is_ok());
        let image = |width: usize, high: f64| {
            json!({ "features": { "image": {
                "width": width, "height": 10, "low": 0.0, "high": high, "drawing": true
            } } })
        };
        let sample = |values: Value| json!([{ "name": "s", "inputs": values }]);
        assert!(parse(&with(&good, "inputs", image(3, 1.0))).is_ok());
        for (member, value) in [
            ("format", json!("proofmark/card/v2")),
            ("title", json!("")),
            ("title", json!("t".repeat(MAX_SHORT + 1))),
            ("title", json!("a\u{1b}[2J")),
            ("about", json!([""])),
            ("limits", json!(vec!["x"; MAX_LIST + 1])),
            ("html", json!("<b>")),
            ("inputs", json!({ "pixels": { "table": [] } })),
            (
                "inputs",
                json!({ "features": { "table": [{ "name": "one" }] } }),
            ),
            ("inputs", image(4, 1.0)),
            ("inputs", image(3, 0.0)),
            ("inputs", image(usize::MAX, 1.0)),
            ("samples", sample(json!({}))),
            ("samples", sample(json!({ "features": [1.0] }))),
            (
                "samples",
                sample(json!({ "features": vec![1.0; 30], "more": [] })),
            ),
        ] {
            let error = parse(&with(&good, member, value.clone())).unwrap_err();
            assert_eq!(error.code(), "card-malformed", "{member} {value}");
        }
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let long = vec![b' '; MAX_CARD_BYTES + 1];
        assert!(Card::parse(&long, &manifest).is_err());
    }

    fn with(card: &Value, member: &str, value: Value) -> Value {
        let mut card = card.clone();
        card.as_object_mut()
            .unwrap()
            .insert(member.to_owned(), value);
        card
    }
}
