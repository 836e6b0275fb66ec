//! What the workspace is made from: the packages that `Cargo.lock` pins and how they depend on one
//! another, read without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::MetadataCommand;
use cargo_metadata::semver::{Version, VersionReq};
use serde::Deserialize;

/// The programs that are released, each a package with one binary of its own name.
pub(crate) const RELEASED: [&str; 2] = ["proofmark", "proofmark-verify"];

/// What a package is called here. All sources but one registry being refused, name and version are
/// enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) version: Version,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A package as `Cargo.lock` pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    /// Where it comes from; none for a package of this workspace.
    pub(crate) source: Option<String>,
    /// SHA-256 of its archive, hex.
    pub(crate) checksum: Option<String>,
}

/// A package that is built for some target, tool or test of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its own word on its licence, an SPDX expression.
    pub(crate) licence: Option<String>,
    /// The native library that it links or builds, as its manifest says.
    pub(crate) links: Option<String>,
    /// Its repository, for readers.
    pub(crate) repository: Option<String>,
    /// Direct dependencies of every kind.
    pub(crate) dependencies: BTreeSet<Key>,
    /// Whether it is a package of this workspace.
    pub(crate) own: bool,
    /// Packages of a registry that it takes in any version.
    pub(crate) wildcards: BTreeSet<String>,
}

/// What goes into one released program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Packages whose code is in the program.
    pub(crate) linked: BTreeSet<Key>,
    /// Those, and the ones that only run while it is built.
    pub(crate) built: BTreeSet<Key>,
}

/// The workspace's packages for one target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supply {
    /// Every package of `Cargo.lock`, whether something builds it or not.
    pub(crate) pinned: BTreeMap<Key, Pinned>,
    /// Those that something in the workspace builds.
    pub(crate) packages: BTreeMap<Key, Package>,
    /// The released programs by name.
    pub(crate) programs: BTreeMap<String, Program>,
}

/// The workspace's root.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2);
    Ok(root.context("the package has no workspace")?.to_owned())
}

/// The target that this machine builds for when it is not told otherwise.
pub(crate) fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

impl Supply {
    /// Reads `Cargo.lock` and asks cargo, offline, what is built for `target`.
    pub(crate) fn read(target: &str) -> Result<Self> {
        let root = root()?;
        let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
        let mut programs = BTreeMap::new();
        for name in RELEASED {
            let program = Program {
                linked: tree(&root, Some(name), target, "normal,no-proc-macro")?,
                built: tree(&root, Some(name), target, "normal,build")?,
            };
            programs.insert(name.to_owned(), program);
        }
        Ok(Self {
            pinned: pinned(&lock)?,
            packages: packages(&root, target)?,
            programs,
        })
    }

    /// Packages whose code is in some released program.
    pub(crate) fn linked(&self) -> BTreeSet<&Key> {
        self.programs.values().flat_map(|p| &p.linked).collect()
    }

    /// Packages that are in a released program or run while one is built.
    pub(crate) fn built(&self) -> BTreeSet<&Key> {
        self.programs.values().flat_map(|p| &p.built).collect()
    }

    /// Packages that depend directly on `key`.
    pub(crate) fn dependents<'s>(&'s self, key: &'s Key) -> impl Iterator<Item = &'s Key> {
        self.packages
            .iter()
            .filter(move |(_, package)| package.dependencies.contains(key))
            .map(|(dependent, _)| dependent)
    }
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: Version,
    source: Option<String>,
    checksum: Option<String>,
}

fn pinned(lock: &str) -> Result<BTreeMap<Key, Pinned>> {
    let lock: Lock = toml::from_str(lock).context("Cargo.lock is malformed")?;
    let mut all = BTreeMap::new();
    for LockedPackage {
        name,
        version,
        source,
        checksum,
    } in lock.package
    {
        let key = Key { name, version };
        let twice = all
            .insert(key.clone(), Pinned { source, checksum })
            .is_some();
        ensure!(!twice, "Cargo.lock pins {key} from two sources");
    }
    Ok(all)
}

fn packages(root: &Path, target: &str) -> Result<BTreeMap<Key, Package>> {
    // Only what this target builds is certain to be in the package cache.
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec![
            "--offline".to_owned(),
            "--locked".to_owned(),
            format!("--filter-platform={target}"),
        ])
        .exec()
        .context("cargo metadata fails; `cargo fetch --locked` brings what it needs")?;
    let key = |package: &cargo_metadata::Package| Key {
        name: package.name.to_string(),
        version: package.version.clone(),
    };
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo metadata resolves nothing")?;
    // Metadata also lists what an optional dependency would bring that nothing turns on.
    let built = tree(root, None, target, "normal,build,dev")?;
    let mut all = BTreeMap::new();
    for node in &resolve.nodes {
        let package = &metadata[&node.id];
        let own = key(package);
        if !built.contains(&own) {
            continue;
        }
        all.insert(
            own,
            Package {
                licence: package.license.clone(),
                links: package.links.clone(),
                repository: package.repository.clone(),
                dependencies: node
                    .deps
                    .iter()
                    .map(|dependency| key(&metadata[&dependency.pkg]))
                    .filter(|dependency| built.contains(dependency))
                    .collect(),
                own: package.source.is_none(),
                wildcards: package
                    .dependencies
                    .iter()
                    .filter(|d| d.path.is_none() && d.req == VersionReq::STAR)
                    .map(|d| d.name.clone())
                    .collect(),
            },
        );
    }
    Ok(all)
}

/// The packages that building `package` alone takes, without one the whole workspace. Features of
/// one package are not those that the workspace turns on together, which is all that `cargo
/// metadata` knows.
fn tree(root: &Path, package: Option<&str>, target: &str, edges: &str) -> Result<BTreeSet<Key>> {
    let which = match package {
        Some(package) => vec!["--package", package],
        None => vec!["--workspace"],
    };
    let text = output(
        Command::new("cargo")
            .current_dir(root)
            .args(["tree", "--offline", "--locked"])
            .args(which)
            .args(["--target", target, "--edges", edges])
            .args(["--prefix", "none", "--format", "{p}"]),
    )?;
    text.lines()
        .filter(|line| !line.is_empty())
        .map(tree_line)
        .collect()
}

/// `name v1.2.3`, with remarks behind.
fn tree_line(line: &str) -> Result<Key> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(version)) = (words.next(), words.next()) else {
        bail!("cargo tree says {line:?}");
    };
    let version = version.strip_prefix('v').unwrap_or(version);
    Ok(Key {
        name: name.to_owned(),
        version: Version::parse(version).with_context(|| format!("cargo tree says {line:?}"))?,
    })
}

/// What a command prints, or its errors.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_tree() {
        for (line, name, version) in [
            ("serde v1.0.228 (*)", "serde", "1.0.228"),
            (
                "thiserror-impl v2.0.17 (proc-macro)",
                "thiserror-impl",
                "2.0.17",
            ),
            ("proofmark v0.1.0 (/some/where)", "proofmark", "0.1.0"),
            (
                "zstd-sys v2.0.16+zstd.1.5.7",
                "zstd-sys",
                "2.0.16+zstd.1.5.7",
            ),
        ] {
            let key = tree_line(line).unwrap();
            assert_eq!(
                (key.name.as_str(), key.version.to_string().as_str()),
                (name, version)
            );
        }
        assert!(tree_line("[build-dependencies]").is_err());
        assert!(tree_line("serde latest").is_err());
    }

    #[test]
    fn one_package_from_two_sources_is_refused() {
        let one = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
        assert_eq!(pinned(one).unwrap().len(), 1);
        let error = pinned(&format!("{one}{one}")).unwrap_err();
        assert!(error.to_string().contains("a@1.0.0"), "{error}");
    }

    #[test]
    fn the_workspace_is_read() {
        let supply = Supply::read(&host().unwrap()).unwrap();
        for (name, program) in &supply.programs {
            assert!(program.linked.is_subset(&program.built), "{name}");
            for key in &program.built {
                assert!(supply.packages.contains_key(key), "{name}: {key}");
            }
        }
        let [all, small] = RELEASED.map(|name| &supply.programs[name]);
        assert!(small.linked.len() * 2 < all.linked.len());
        for key in supply.packages.keys() {
            assert!(supply.pinned.contains_key(key), "{key}");
        }
    }
}
