//! The licence texts of everything that is linked into a released program, as their archives carry
//! them: most licences ask that they go along.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;

use crate::supply::{Key, Supply, root};

/// Beginnings of the names of files with licence texts, in upper case.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];
/// Largest such file.
const MAX_BYTES: u64 = 1 << 20;

/// One text with every licence of the packages that are linked into the released programs.
pub(crate) fn texts(supply: &Supply, target: &str) -> Result<String> {
    let metadata = MetadataCommand::new()
        .manifest_path(root()?.join("Cargo.toml"))
        .other_options(vec![
            "--offline".to_owned(),
            "--locked".to_owned(),
            format!("--filter-platform={target}"),
        ])
        .exec()
        .context("cargo metadata failed")?;
    let mut folders = BTreeMap::new();
    for package in &metadata.packages {
        let key = Key {
            name: package.name.to_string(),
            version: package.version.clone(),
        };
        folders.insert(key, package.manifest_path.parent());
    }
    let mut text = String::from(
        "The programs of this archive contain the following packages, and the standard library of\n\
         Rust (https://www.rust-lang.org, MIT OR Apache-2.0). Which is in which stands in the bills\n\
         of materials (*.cdx.json).\n",
    );
    // A text that many packages share stands once.
    let mut shared: BTreeMap<String, Vec<&Key>> = BTreeMap::new();
    let mut without = Vec::new();
    for key in supply.linked() {
        let package = supply.packages.get(key).with_context(|| key.to_string())?;
        if package.own {
            continue;
        }
        let licence = package.licence.as_deref().unwrap_or("no licence named");
        text.push_str(&format!("\n{key}  {licence}"));
        let folder = folders.get(key).copied().flatten();
        let found = match folder {
            Some(folder) => in_folder(folder.as_std_path())?,
            None => Vec::new(),
        };
        if found.is_empty() {
            without.push(key);
        }
        for one in found {
            shared.entry(one).or_default().push(key);
        }
    }
    text.push('\n');
    if !without.is_empty() {
        text.push_str("\nWithout a text in their archives (the licence above is their word):\n");
        for key in without {
            text.push_str(&format!("  {key}\n"));
        }
    }
    for (licence, packages) in shared {
        let rule = "-".repeat(72);
        let names: Vec<String> = packages.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "\n{rule}\n{}\n{rule}\n{licence}\n",
            names.join(", ")
        ));
    }
    Ok(text)
}

/// The licence texts in a package's folder.
fn in_folder(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        let is_text = NAMES.iter().any(|start| name.starts_with(start));
        // Code that checks licences is none.
        let is_code = path.extension().is_some_and(|extension| extension == "rs");
        if !is_text || is_code || !path.is_file() {
            continue;
        }
        if fs::metadata(&path)?.len() <= MAX_BYTES {
            let bytes = fs::read(&path)?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            found.push(text.trim().to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::host;

    #[test]
    fn every_linked_package_is_named_and_most_texts_are_there() {
        let target = host().unwrap();
        let supply = Supply::read(&target).unwrap();
        let text = texts(&supply, &target).unwrap();
        let mut foreign = 0;
        for key in supply.linked() {
            if !supply.packages[key].own {
                foreign += 1;
                assert!(text.contains(&key.to_string()), "{key}");
            }
        }
        assert!(foreign > 100);
        let without = text.split("Without a text").nth(1).unwrap_or_default();
        let without = without.lines().filter(|line| line.contains('@')).count();
        assert!(text.contains("Permission is hereby granted"));
        assert!(without < foreign, "{text}");
    }
}
