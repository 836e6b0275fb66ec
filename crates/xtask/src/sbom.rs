//! `cargo xtask sbom`: for each released program a bill of materials in CycloneDX 1.6 JSON, made
//! from `Cargo.lock` alone.
//!
//! The same commit gives the same bytes on every machine: no time, no paths, and a serial number
//! that is derived from the content. Scope `required` is what the program is linked from, scope
//! `excluded` what only ran while it was built (procedural macros, build scripts and what these
//! use). ONNX Runtime, which `proofmark` loads when it starts, is listed with the digest that it
//! is pinned by.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use proofmark_runtime::library::{ORT_VERSION, PINNED};
use proofmark_types::Digest;
use serde::Serialize;

use crate::say;
use crate::supply::{Key, Package, Program, RELEASED, Supply, root};

/// The package that loads ONNX Runtime.
const RUNTIME_PACKAGE: &str = "proofmark-runtime";

/// What to write, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The target that the programs are built for
    #[arg(long, default_value = "x86_64-unknown-linux-gnu")]
    target: String,
    /// The folder to write to: NAME.cdx.json for each program
    #[arg(long, default_value = "target/sbom")]
    out: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata {
    component: Component,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    licenses: Vec<Licence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Licence {
    expression: String,
}

#[derive(Serialize)]
struct Reference {
    r#type: &'static str,
    url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

/// Writes the bill of each released program.
pub(crate) fn run(options: &Options) -> Result<()> {
    let supply = Supply::read(&options.target)?;
    let out = root()?.join(&options.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for name in RELEASED {
        let bytes = bill(&supply, name, &options.target)?;
        let path = out.join(format!("{name}.cdx.json"));
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!(
            "{} {}",
            Digest::of(&bytes).to_hex(),
            options.out.join(format!("{name}.cdx.json")).display()
        ))?;
    }
    Ok(())
}

/// The bill of one program as indented JSON.
pub(crate) fn bill(supply: &Supply, name: &str, target: &str) -> Result<Vec<u8>> {
    let Program { linked, built } = supply
        .programs
        .get(name)
        .with_context(|| format!("{name} is not released"))?;
    let (root, _) = supply
        .packages
        .iter()
        .find(|(key, package)| package.own && key.name == name)
        .with_context(|| format!("there is no package {name}"))?;
    let runtime = linked
        .iter()
        .any(|key| key.name == RUNTIME_PACKAGE)
        .then(|| onnx_runtime(target))
        .transpose()?;
    let mut components = BTreeMap::new();
    let mut dependencies = Vec::new();
    for key in built {
        let package = supply.packages.get(key).with_context(|| key.to_string())?;
        let mut depends_on: BTreeSet<String> = package
            .dependencies
            .intersection(built)
            .map(|key| bom_ref(supply, key))
            .collect();
        if let Some(runtime) = runtime.as_ref().filter(|_| key.name == RUNTIME_PACKAGE) {
            depends_on.insert(runtime.bom_ref.clone());
        }
        dependencies.push(Dependency {
            r#ref: bom_ref(supply, key),
            depends_on: depends_on.into_iter().collect(),
        });
        let scope = if linked.contains(key) {
            "required"
        } else {
            "excluded"
        };
        let component = component(supply, key, package, scope)?;
        components.insert(component.bom_ref.clone(), component);
    }
    let mut program = components
        .remove(&bom_ref(supply, root))
        .with_context(|| format!("{name} is not built"))?;
    program.r#type = "application";
    program.scope = None;
    if let Some(runtime) = runtime {
        dependencies.push(Dependency {
            r#ref: runtime.bom_ref.clone(),
            depends_on: Vec::new(),
        });
        components.insert(runtime.bom_ref.clone(), runtime);
    }
    dependencies.sort_by(|a, b| a.r#ref.cmp(&b.r#ref));
    let mut bom = Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: Metadata {
            component: program,
            properties: vec![Property {
                name: "proofmark:target",
                value: target.to_owned(),
            }],
        },
        components: components.into_values().collect(),
        dependencies,
    };
    bom.serial_number = Some(serial_number(&serde_json::to_vec(&bom)?));
    let mut bytes = serde_json::to_vec_pretty(&bom)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The package URL of a registry's package, name and version of one of our own.
fn bom_ref(supply: &Supply, key: &Key) -> String {
    if supply.packages.get(key).is_some_and(|package| package.own) {
        key.to_string()
    } else {
        format!(
            "pkg:cargo/{}@{}",
            key.name,
            percent(&key.version.to_string())
        )
    }
}

/// What a package URL escapes of a version.
fn percent(version: &str) -> String {
    version.replace('+', "%2B")
}

fn component(
    supply: &Supply,
    key: &Key,
    package: &Package,
    scope: &'static str,
) -> Result<Component> {
    let licence = package
        .licence
        .as_deref()
        .with_context(|| format!("{key} names no licence"))?;
    let expression = spdx::Expression::canonicalize(licence)
        .map_err(|error| anyhow::anyhow!("{key}: {licence:?}: {}", error.reason))?
        .unwrap_or_else(|| licence.to_owned());
    let bom_ref = bom_ref(supply, key);
    let checksum = supply.pinned.get(key).and_then(|p| p.checksum.clone());
    Ok(Component {
        r#type: "library",
        purl: (!package.own).then(|| bom_ref.clone()),
        bom_ref,
        name: key.name.clone(),
        version: key.version.to_string(),
        scope: Some(scope),
        hashes: checksum.into_iter().map(sha256).collect(),
        licenses: vec![Licence { expression }],
        external_references: package
            .repository
            .iter()
            .filter(|url| url.starts_with("https://"))
            .map(|url| Reference {
                r#type: "vcs",
                url: url.clone(),
            })
            .collect(),
    })
}

/// The shared library that the program loads, by the digest that it is refused without.
fn onnx_runtime(target: &str) -> Result<Component> {
    let library = PINNED
        .iter()
        .find(|pin| {
            let system = match pin.os {
                "macos" => "apple-darwin",
                other => other,
            };
            target.starts_with(pin.arch) && target.contains(system)
        })
        .with_context(|| format!("no ONNX Runtime is pinned for {target}"))?;
    let purl = format!("pkg:pypi/onnxruntime@{ORT_VERSION}");
    Ok(Component {
        r#type: "library",
        bom_ref: purl.clone(),
        name: "onnxruntime".to_owned(),
        version: ORT_VERSION.to_owned(),
        scope: Some("required"),
        hashes: vec![sha256(library.library_digest.to_hex())],
        licenses: vec![Licence {
            expression: "MIT".to_owned(),
        }],
        purl: Some(purl),
        external_references: vec![Reference {
            r#type: "vcs",
            url: "https://github.com/microsoft/onnxruntime".to_owned(),
        }],
    })
}

fn sha256(content: String) -> Hash {
    Hash {
        alg: "SHA-256",
        content,
    }
}

/// A UUID (RFC 9562, version 8) of the content.
fn serial_number(content: &[u8]) -> String {
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(Digest::of(content).as_bytes()) {
        *to = *from;
    }
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let mut text = "urn:uuid:".to_owned();
    for (index, digit) in hex.char_indices() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::supply::host;

    fn text<'v>(value: &'v Value, member: &str) -> &'v str {
        value[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member} in {value}"))
    }

    fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
        value[member].as_array().map_or(&[], Vec::as_slice)
    }

    /// What the schema of CycloneDX 1.6 asks of the members that are used here.
    fn check_component(component: &Value) {
        assert!(["application", "library"].contains(&text(component, "type")));
        for member in ["bom-ref", "name", "version"] {
            assert!(!text(component, member).is_empty());
        }
        let licences = list(component, "licenses");
        assert_eq!(licences.len(), 1, "{component}");
        spdx::Expression::parse(text(&licences[0], "expression")).unwrap();
        for hash in list(component, "hashes") {
            assert_eq!(text(hash, "alg"), "SHA-256");
            let content = text(hash, "content");
            assert!(content.len() == 64 && content.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        for reference in list(component, "externalReferences") {
            assert_eq!(text(reference, "type"), "vcs");
            assert!(text(reference, "url").starts_with("https://"));
        }
        if let Some(purl) = component.get("purl") {
            assert_eq!(purl, &component["bom-ref"]);
            assert_eq!(list(component, "hashes").len(), 1, "{component}");
        }
    }

    fn is_serial_number(text: &str) -> bool {
        let Some(uuid) = text.strip_prefix("urn:uuid:") else {
            return false;
        };
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
        lengths == [8, 4, 4, 4, 12] && uuid.chars().all(hex) && uuid.as_bytes()[14] == b'8'
    }

    #[test]
    fn bills_are_well_formed_complete_and_the_same_twice() {
        let target = host().unwrap();
        let supply = Supply::read(&target).unwrap();
        for name in RELEASED {
            let bytes = bill(&supply, name, &target).unwrap();
            assert_eq!(bytes, bill(&supply, name, &target).unwrap());
            let words = String::from_utf8(bytes.clone()).unwrap();
            let folder = root().unwrap();
            assert!(
                !words.contains(folder.to_str().unwrap()),
                "{name} names a folder"
            );
            let bom: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(
                (text(&bom, "bomFormat"), text(&bom, "specVersion")),
                ("CycloneDX", "1.6")
            );
            assert!(is_serial_number(text(&bom, "serialNumber")));
            assert_eq!(bom["version"], 1);
            let program = &bom["metadata"]["component"];
            check_component(program);
            assert_eq!(
                (text(program, "type"), text(program, "name")),
                ("application", name)
            );

            let mut known = BTreeSet::from([text(program, "bom-ref")]);
            for component in list(&bom, "components") {
                check_component(component);
                assert!(["required", "excluded"].contains(&text(component, "scope")));
                assert!(
                    known.insert(text(component, "bom-ref")),
                    "{component} stands twice"
                );
            }
            let mut edges = BTreeMap::new();
            for dependency in list(&bom, "dependencies") {
                let to: Vec<&str> = list(dependency, "dependsOn")
                    .iter()
                    .map(|v| v.as_str().unwrap())
                    .collect();
                assert!(to.iter().all(|to| known.contains(to)), "{dependency}");
                assert!(edges.insert(text(dependency, "ref"), to).is_none());
            }
            assert_eq!(edges.keys().copied().collect::<BTreeSet<_>>(), known);
            // Everything that is listed is there because something needs it.
            let mut reached = BTreeSet::new();
            let mut queue = vec![text(program, "bom-ref")];
            while let Some(next) = queue.pop() {
                if reached.insert(next) {
                    queue.extend(&edges[next]);
                }
            }
            assert_eq!(reached, known, "{name}");

            let runtime = known
                .iter()
                .filter(|r| r.starts_with("pkg:pypi/onnxruntime@"))
                .count();
            assert_eq!(runtime, usize::from(name == "proofmark"));
            // Third parties are listed with the digests that the lock file pins.
            let locked = supply.programs[name].built.iter();
            let third = locked.filter(|key| !supply.packages[*key].own).count();
            let hashed = list(&bom, "components")
                .iter()
                .filter(|c| c.get("hashes").is_some());
            assert_eq!(hashed.count(), third + runtime);
        }
    }

    #[test]
    fn the_serial_number_follows_the_content() {
        let [a, b] = ["a", "b"].map(|content| serial_number(content.as_bytes()));
        assert!(is_serial_number(&a) && is_serial_number(&b));
        assert_ne!(a, b);
    }

    #[test]
    fn the_runtime_is_the_pinned_one_of_each_target() {
        for (target, arch, os) in [
            ("x86_64-unknown-linux-gnu", "x86_64", "linux"),
            ("aarch64-unknown-linux-gnu", "aarch64", "linux"),
            ("aarch64-apple-darwin", "aarch64", "macos"),
        ] {
            let pin = PINNED
                .iter()
                .find(|p| (p.arch, p.os) == (arch, os))
                .unwrap();
            let component = onnx_runtime(target).unwrap();
            assert_eq!(component.hashes[0].content, pin.library_digest.to_hex());
        }
        assert!(onnx_runtime("riscv64gc-unknown-linux-gnu").is_err());
    }
}
