//! `cargo xtask import-samples`: makes the integer models, manifests and translation reports of `models/` again. They
//! are committed, because they are what is served and proven; calibration runs float arithmetic,
//! whose last bits may differ between processors, so a new import may give another model.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{fetch_runtime, say};

/// What `model.toml` says of a sample model.
#[derive(Debug, Deserialize)]
struct Model {
    name: String,
    description: String,
    labels: Vec<String>,
    licence: String,
}

/// Imports every sample model and replaces its `integer.onnx`, `manifest.json` and
/// `translation.json`.
pub(crate) fn run() -> Result<()> {
    say(&fetch_runtime::run()?.to_string())?;
    let mut folders: Vec<_> = fs::read_dir("models")?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    folders.retain(|folder| folder.join("model.toml").is_file());
    folders.sort();
    for folder in folders {
        import(&folder)?;
    }
    Ok(())
}

fn import(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(folder.join("model.toml"))?;
    let model: Model =
        toml::from_str(&text).with_context(|| format!("{}/model.toml", folder.display()))?;
    let temporary = tempfile::tempdir()?;
    let out = temporary.path().join("draft");
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--package", "proofmark", "--", "import"])
        .arg(folder.join("float.onnx"))
        .arg("--calibration")
        .arg(folder.join("calibration.npz"))
        .arg("--heldout")
        .arg(folder.join("heldout.npz"))
        .args(["--name", &model.name, "--version", "1"])
        .args([
            "--description",
            &model.description,
            "--licence",
            &model.licence,
        ])
        .args(["--labels", &model.labels.join(",")])
        .arg("--out")
        .arg(&out)
        .status()?;
    if !status.success() {
        bail!("the import of {} failed", model.name);
    }
    for file in ["integer.onnx", "translation.json", "manifest.json"] {
        fs::copy(out.join(file), folder.join(file))?;
    }
    say(&format!("{}: imported", model.name))
}
