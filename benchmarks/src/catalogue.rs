//! Which models there are, and the samples each takes.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_types::manifest::ReferenceLevel;
use serde::Deserialize;

use crate::networks;

/// The trained sample models, folders of `models/`, quickest first.
const TRAINED: [&str; 4] = [
    "risk-classifier",
    "digits-mlp",
    "lenet5-mnist",
    "resnet-animals",
];
/// Models that others quantized, and the samples they take.
const THIRD_PARTY: &str = "models/third-party";

/// A line of `models/third-party/samples.csv`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ThirdParty {
    /// File name without `.onnx`.
    pub(crate) model: String,
    /// Held-out samples, below `models/`.
    heldout: PathBuf,
    /// The model takes `raw / divisor - offset`.
    divisor: f32,
    offset: f32,
    /// `classes` where the largest output is a class.
    aim: String,
    /// The level at which ONNX Runtime runs the original.
    pub(crate) reference: ReferenceLevel,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// A draft in `models/`, trained on real data.
    Trained,
    /// Made by [`networks::make`], with random weights.
    Made,
    /// Quantized by others.
    ThirdParty(ThirdParty),
}

/// A model of the benchmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// Where it comes from.
    pub(crate) source: Source,
}

/// Held-out samples as a model takes them, a row-major vector each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heldout {
    /// The inputs.
    pub(crate) x: Vec<Vec<f32>>,
    /// Classes, where that is what the model tells.
    pub(crate) labels: Option<Vec<usize>>,
}

/// The models of a comma-separated list of names and of the sets `core` (trained and made ones),
/// `third-party`, `all`; in the catalogue's order, none twice.
pub(crate) fn select(wanted: &[String]) -> Result<Vec<Entry>> {
    let all = all()?;
    let known = |name: &str| all.iter().any(|entry| entry.name == name);
    for name in wanted {
        if !matches!(name.as_str(), "core" | "third-party" | "all") && !known(name) {
            let names: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).collect();
            bail!(
                "there is no model {name:?}; there are the sets core, third-party and all, and {}",
                names.join(", ")
            );
        }
    }
    let has = |name: &str| wanted.iter().any(|w| w == name);
    let chosen = |entry: &Entry| {
        let set = match entry.source {
            Source::Trained | Source::Made => "core",
            Source::ThirdParty(_) => "third-party",
        };
        has("all") || has(set) || has(&entry.name)
    };
    Ok(all.iter().filter(|entry| chosen(entry)).cloned().collect())
}

/// One model by name, those of the scaling curves included.
pub(crate) fn entry(name: &str) -> Result<Entry> {
    if let Some(entry) = all()?.into_iter().find(|entry| entry.name == name) {
        return Ok(entry);
    }
    networks::make(name)?;
    Ok(Entry {
        name: name.to_owned(),
        source: Source::Made,
    })
}

fn all() -> Result<Vec<Entry>> {
    let entry = |name: &str, source| Entry {
        name: name.to_owned(),
        source,
    };
    let mut entries: Vec<Entry> = Vec::new();
    entries.extend(TRAINED.map(|name| entry(name, Source::Trained)));
    entries.extend(networks::MADE.map(|name| entry(name, Source::Made)));
    let path = Path::new(THIRD_PARTY).join("samples.csv");
    let mut reader = csv::Reader::from_path(&path).with_context(|| {
        format!(
            "cannot read {}: run in the root of the repository",
            path.display()
        )
    })?;
    for line in reader.deserialize() {
        let line: ThirdParty = line?;
        entries.push(entry(&line.model.clone(), Source::ThirdParty(line)));
    }
    Ok(entries)
}

/// The folder of a trained model.
pub(crate) fn trained_folder(name: &str) -> PathBuf {
    Path::new("models").join(name)
}

/// Held-out samples of a trained model.
pub(crate) fn trained_heldout(name: &str) -> Result<Heldout> {
    let (x, y) = archive(&trained_folder(name).join("heldout.npz"))?;
    Ok(Heldout {
        x: samples(&x, |raw| raw),
        labels: Some(classes(&y)?),
    })
}

impl ThirdParty {
    /// The model's file.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(THIRD_PARTY).join(format!("{}.onnx", self.model))
    }

    /// Its held-out samples.
    pub(crate) fn heldout(&self) -> Result<Heldout> {
        let (x, y) = archive(&Path::new("models").join(&self.heldout))?;
        let labels = (self.aim == "classes").then(|| classes(&y)).transpose()?;
        Ok(Heldout {
            x: samples(&x, |raw| raw / self.divisor - self.offset),
            labels,
        })
    }
}

fn classes(y: &ArrayD<i64>) -> Result<Vec<usize>> {
    let classes = y.iter().map(|&label| usize::try_from(label));
    Ok(classes.collect::<Result<_, _>>()?)
}

fn samples(x: &ArrayD<f32>, scaled: impl Fn(f32) -> f32) -> Vec<Vec<f32>> {
    x.outer_iter()
        .map(|sample| sample.iter().map(|&raw| scaled(raw)).collect())
        .collect()
}

/// Inputs under `x`, labels under `y`, each either in its own type or as bytes.
fn archive(path: &Path) -> Result<(ArrayD<f32>, ArrayD<i64>)> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = NpzReader::new(File::open(path).with_context(cannot)?).with_context(cannot)?;
    let x = match file.by_name::<OwnedRepr<f32>, IxDyn>("x") {
        Ok(floats) => floats,
        Err(_) => file
            .by_name::<OwnedRepr<u8>, IxDyn>("x")
            .with_context(cannot)?
            .mapv(f32::from),
    };
    let y = match file.by_name::<OwnedRepr<i64>, IxDyn>("y") {
        Ok(labels) => labels,
        Err(_) => file
            .by_name::<OwnedRepr<u8>, IxDyn>("y")
            .with_context(cannot)?
            .mapv(i64::from),
    };
    Ok((x, y))
}
