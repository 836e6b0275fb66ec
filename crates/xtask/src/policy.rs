//! `cargo xtask policy`: what the workspace may be built from, held offline.
//!
//! The rules are those of `deny.toml`, in `cargo-deny`'s format and meaning: licences, sources,
//! banned packages and versions. `cargo-deny` itself takes longer to build than everything it
//! checks here; it is for the advisories, which need a network. Stricter than there: multiple
//! versions are counted in the released programs, an entry that applies to nothing is an error,
//! and every package of the lock file needs a checksum, whether something builds it or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::semver::{Version, VersionReq};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::say;
use crate::supply::{Key, Supply, host, root};

/// The part of `deny.toml` that is held here. Members that are not known are refused, so that no
/// rule is written and ignored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
    /// For `cargo-deny` alone.
    #[serde(rename = "graph")]
    _graph: toml::Value,
    #[serde(rename = "advisories")]
    _advisories: toml::Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    /// Licences, with an exception where one is meant.
    allow: Vec<String>,
    /// More for single packages.
    exceptions: Vec<LicenceException>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LicenceException {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: Allow,
    wildcards: Deny,
    allow_wildcard_paths: bool,
    deny: Vec<Ban>,
    skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ban {
    /// `name`, `name@1.2.3` or `name:<requirement>`.
    #[serde(rename = "crate")]
    spec: String,
    reason: String,
    /// Packages that may depend on it all the same.
    #[serde(default)]
    wrappers: BTreeSet<String>,
    /// Not the package is banned, but a second version of it.
    #[serde(default)]
    deny_multiple_versions: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    #[serde(rename = "crate")]
    spec: String,
    #[serde(rename = "reason")]
    _reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    #[serde(rename = "unknown-registry")]
    _unknown_registry: Deny,
    #[serde(rename = "unknown-git")]
    _unknown_git: Deny,
    allow_registry: Vec<String>,
    allow_git: Vec<String>,
}

/// The one level that is held here: another would be written and not followed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Deny {
    Deny,
}

/// As [`Deny`], for what entries of their own refuse.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Allow {
    Allow,
}

/// A package, or some versions of one.
struct Spec {
    name: String,
    versions: VersionReq,
}

impl Spec {
    fn parse(text: &str) -> Result<Self> {
        let (name, versions) = if let Some((name, version)) = text.split_once('@') {
            (name, format!("={version}"))
        } else if let Some((name, requirement)) = text.split_once(':') {
            (name, requirement.to_owned())
        } else {
            (text, "*".to_owned())
        };
        let versions = VersionReq::parse(&versions)
            .with_context(|| format!("{text:?} is no package of deny.toml"))?;
        Ok(Self {
            name: name.to_owned(),
            versions,
        })
    }

    fn names(&self, key: &Key) -> bool {
        self.name == key.name && self.matches(&key.version)
    }

    /// A pre-release is older than its release, whatever a requirement says of it.
    fn matches(&self, version: &Version) -> bool {
        let release = Version::new(version.major, version.minor, version.patch);
        self.versions == VersionReq::STAR
            || self.versions.matches(version)
            || (!version.pre.is_empty() && self.versions.matches(&release))
    }
}

/// Checks the workspace against `deny.toml` and says what was checked.
pub(crate) fn run() -> Result<()> {
    let text = fs::read_to_string(root()?.join("deny.toml")).context("cannot read deny.toml")?;
    let policy: Policy = toml::from_str(&text).context("deny.toml is malformed")?;
    let supply = Supply::read(&host()?)?;
    let faults = policy.faults(&supply)?;
    if !faults.is_empty() {
        bail!(
            "{} faults against deny.toml:\n  {}",
            faults.len(),
            faults.join("\n  ")
        );
    }
    say(&format!(
        "policy: {} packages pinned, {} built, {} of them for the released programs, {} linked into one; licences, sources and bans hold",
        supply.pinned.len(),
        supply.packages.len(),
        supply.built().len(),
        supply.linked().len(),
    ))
}

impl Policy {
    /// Everything that is against the rules, in one list.
    fn faults(&self, supply: &Supply) -> Result<Vec<String>> {
        ensure!(
            self.bans.allow_wildcard_paths
                && matches!(self.bans.wildcards, Deny::Deny)
                && matches!(self.bans.multiple_versions, Allow::Allow)
                && self.sources.allow_git.is_empty(),
            "deny.toml asks for what is not held here"
        );
        let mut faults = self.sources(supply);
        faults.extend(self.licences(supply)?);
        faults.extend(self.bans(supply)?);
        Ok(faults)
    }

    fn sources(&self, supply: &Supply) -> Vec<String> {
        let allowed: BTreeSet<String> = self
            .sources
            .allow_registry
            .iter()
            .map(|url| format!("registry+{url}"))
            .collect();
        let mut faults = Vec::new();
        for (key, pinned) in &supply.pinned {
            match &pinned.source {
                Some(source) if !allowed.contains(source) => {
                    faults.push(format!("{key} comes from {source}"));
                }
                Some(_) if pinned.checksum.as_deref().is_none_or(|sum| !is_sha256(sum)) => {
                    faults.push(format!("{key} has no checksum in Cargo.lock"));
                }
                None if supply.packages.get(key).is_some_and(|p| !p.own) => {
                    faults.push(format!("{key} has no source in Cargo.lock"));
                }
                Some(_) | None => {}
            }
        }
        for (key, package) in &supply.packages {
            if package.own && supply.pinned.get(key).is_none_or(|p| p.source.is_some()) {
                faults.push(format!("{key} is built from a folder, not from its source"));
            }
        }
        faults
    }

    fn licences(&self, supply: &Supply) -> Result<Vec<String>> {
        let parse = |texts: &[String]| -> Result<Vec<(String, Licensee)>> {
            texts
                .iter()
                .map(|text| {
                    let licensee = Licensee::parse(text)
                        .map_err(|error| anyhow::anyhow!("deny.toml: {text:?}: {error}"))?;
                    Ok((text.clone(), licensee))
                })
                .collect()
        };
        let allowed = parse(&self.licenses.allow)?;
        let mut exceptions = BTreeMap::new();
        for exception in &self.licenses.exceptions {
            exceptions.insert(exception.name.as_str(), parse(&exception.allow)?);
        }
        let mut used = BTreeSet::new();
        let mut excepted = BTreeSet::new();
        let mut faults = Vec::new();
        for (key, package) in &supply.packages {
            let Some(text) = &package.licence else {
                faults.push(format!("{key} names no licence"));
                continue;
            };
            let expression = match Expression::parse_mode(text, ParseMode::LAX) {
                Ok(expression) => expression,
                Err(error) => {
                    faults.push(format!("{key}: {text:?} is no licence: {}", error.reason));
                    continue;
                }
            };
            let more = exceptions.get(key.name.as_str());
            let fits = |requirement: &spdx::LicenseReq| {
                allowed
                    .iter()
                    .chain(more.into_iter().flatten())
                    .find(|(_, licensee)| licensee.satisfies(requirement))
            };
            if !expression.evaluate(|requirement| fits(requirement).is_some()) {
                faults.push(format!("{key}: licence {text} is not allowed"));
            }
            for requirement in expression.requirements() {
                used.extend(fits(&requirement.req).map(|(text, _)| text.clone()));
            }
            if more.is_some() {
                excepted.insert(key.name.as_str());
            }
        }
        faults.extend(
            self.licenses
                .allow
                .iter()
                .filter(|text| !used.contains(*text))
                .map(|text| format!("licence {text} is allowed and nothing has it: strike it out")),
        );
        faults.extend(
            exceptions
                .keys()
                .filter(|name| !excepted.contains(*name))
                .map(|name| format!("the exception for {name} applies to nothing: strike it out")),
        );
        Ok(faults)
    }

    fn bans(&self, supply: &Supply) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        let mut skips = Vec::new();
        for skip in &self.bans.skip {
            skips.push((Spec::parse(&skip.spec)?, false));
        }
        for ban in &self.bans.deny {
            let spec = Spec::parse(&ban.spec)?;
            if ban.deny_multiple_versions {
                let mut versions = Vec::new();
                for key in supply.linked().into_iter().filter(|key| spec.names(key)) {
                    match skips.iter_mut().find(|(skip, _)| skip.names(key)) {
                        Some((_, used)) => *used = true,
                        None => versions.push(key),
                    }
                }
                match versions.as_slice() {
                    [] => faults.push(format!(
                        "{}: one version is demanded of what nothing links: strike it out",
                        ban.spec
                    )),
                    [_] => {}
                    more => {
                        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
                        faults.push(format!(
                            "{} are linked at the same time ({})",
                            more.join(" and "),
                            ban.reason
                        ));
                    }
                }
                continue;
            }
            for key in supply.packages.keys().filter(|key| spec.names(key)) {
                let by: Vec<String> = supply
                    .dependents(key)
                    .filter(|by| !ban.wrappers.contains(&by.name))
                    .map(ToString::to_string)
                    .collect();
                if !by.is_empty() || ban.wrappers.is_empty() {
                    faults.push(format!(
                        "{key} is banned ({}) and needed by {}",
                        ban.reason,
                        by.join(", ")
                    ));
                }
            }
        }
        for (key, package) in supply.packages.iter().filter(|(_, p)| p.own) {
            faults.extend(
                package
                    .wildcards
                    .iter()
                    .map(|name| format!("{key} takes any version of {name}")),
            );
        }
        for (spec, _) in skips.iter().filter(|(_, used)| !used) {
            faults.push(format!(
                "the skip of {}:{} applies to nothing: strike it out",
                spec.name, spec.versions
            ));
        }
        Ok(faults)
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::{Package, Pinned, Program};

    const REGISTRY: &str = "https://registry.example/index";

    fn key(text: &str) -> Key {
        let (name, version) = text.split_once('@').unwrap();
        Key {
            name: name.to_owned(),
            version: Version::parse(version).unwrap(),
        }
    }

    /// A program that links everything: `(package, licence, dependencies)`.
    fn supply(packages: &[(&str, &str, &[&str])]) -> Supply {
        let mut supply = Supply::default();
        for (name, licence, dependencies) in packages {
            let package = Package {
                licence: Some((*licence).to_owned()),
                links: None,
                repository: None,
                dependencies: dependencies.iter().map(|text| key(text)).collect(),
                own: false,
                wildcards: BTreeSet::new(),
            };
            let pinned = Pinned {
                source: Some(format!("registry+{REGISTRY}")),
                checksum: Some("0a".repeat(32)),
            };
            supply.packages.insert(key(name), package);
            supply.pinned.insert(key(name), pinned);
        }
        let linked: BTreeSet<Key> = supply.packages.keys().cloned().collect();
        let program = Program {
            built: linked.clone(),
            linked,
        };
        supply.programs.insert("program".to_owned(), program);
        supply
    }

    fn faults(deny: &str, supply: &Supply) -> Vec<String> {
        let text = format!(
            "[graph]\n[advisories]\n\
             [licenses]\nallow = [\"MIT\", \"Apache-2.0 WITH LLVM-exception\"]\nexceptions = [{{ crate = \"z\", allow = [\"Zlib\"] }}]\n\
             [bans]\nmultiple-versions = \"allow\"\nwildcards = \"deny\"\nallow-wildcard-paths = true\n{deny}\n\
             [sources]\nunknown-registry = \"deny\"\nunknown-git = \"deny\"\nallow-registry = [\"{REGISTRY}\"]\nallow-git = []\n"
        );
        let policy: Policy = toml::from_str(&text).unwrap();
        policy.faults(supply).unwrap()
    }

    const NO_BANS: &str = "deny = []\nskip = []";

    fn clean() -> Supply {
        supply(&[
            ("a@1.0.0", "MIT/Apache-2.0", &["b@1.0.0", "z@1.0.0"]),
            (
                "b@1.0.0",
                "GPL-3.0-only OR Apache-2.0 WITH LLVM-exception",
                &[],
            ),
            ("z@1.0.0", "Zlib AND MIT", &[]),
        ])
    }

    #[test]
    fn the_workspace_is_as_deny_toml_says() {
        run().unwrap();
    }

    #[test]
    fn what_is_allowed_has_no_faults() {
        assert_eq!(faults(NO_BANS, &clean()), Vec::<String>::new());
    }

    #[test]
    fn licences() {
        let mut supply = clean();
        for (licence, fault) in [
            ("GPL-3.0-only", "licence GPL-3.0-only is not allowed"),
            ("MIT AND GPL-3.0-only", "is not allowed"),
            ("Apache-2.0", "is not allowed"),
            ("Zlib", "is not allowed"),
            ("do what you like", "is no licence"),
        ] {
            supply.packages.get_mut(&key("a@1.0.0")).unwrap().licence = Some(licence.to_owned());
            let found = faults(NO_BANS, &supply);
            assert!(
                found
                    .iter()
                    .any(|f| f.starts_with("a@1.0.0") && f.contains(fault)),
                "{licence}: {found:?}"
            );
        }
        supply.packages.get_mut(&key("a@1.0.0")).unwrap().licence = None;
        assert_eq!(faults(NO_BANS, &supply), ["a@1.0.0 names no licence"]);
        supply.packages.remove(&key("z@1.0.0"));
        let found = faults(NO_BANS, &supply);
        assert!(
            found.iter().any(|f| f.contains("exception for z")),
            "{found:?}"
        );
        assert!(
            found
                .iter()
                .any(|f| f.contains("licence MIT is allowed and nothing has it"))
        );
    }

    #[test]
    fn sources() {
        let b = key("b@1.0.0");
        for source in [
            "git+https://registry.example/index?rev=1#1",
            "registry+https://other.example/index",
            "sparse+https://registry.example/index",
        ] {
            let mut supply = clean();
            supply.pinned.get_mut(&b).unwrap().source = Some(source.to_owned());
            assert_eq!(
                faults(NO_BANS, &supply),
                [format!("b@1.0.0 comes from {source}")]
            );
        }
        for checksum in [None, Some("0a".repeat(31)), Some("0A".repeat(32))] {
            let mut supply = clean();
            supply.pinned.get_mut(&b).unwrap().checksum = checksum;
            assert_eq!(
                faults(NO_BANS, &supply),
                ["b@1.0.0 has no checksum in Cargo.lock"]
            );
        }
        // A patch: a folder in place of what the lock file names, or a folder outside the workspace.
        let mut supply = clean();
        supply.packages.get_mut(&b).unwrap().own = true;
        assert_eq!(
            faults(NO_BANS, &supply),
            ["b@1.0.0 is built from a folder, not from its source"]
        );
        let mut supply = clean();
        supply.pinned.get_mut(&b).unwrap().source = None;
        assert_eq!(
            faults(NO_BANS, &supply),
            ["b@1.0.0 has no source in Cargo.lock"]
        );
    }

    #[test]
    fn banned_packages_and_versions() {
        let supply = clean();
        let ban = |entry: &str| {
            faults(
                &format!("deny = [{{ {entry}, reason = \"r\" }}]\nskip = []"),
                &supply,
            )
        };
        let banned = ["b@1.0.0 is banned (r) and needed by a@1.0.0"];
        for entry in [
            "crate = \"b\"",
            "crate = \"b@1.0.0\"",
            "crate = \"b:<1.0.1\"",
            "crate = \"b\", wrappers = [\"c\"]",
        ] {
            assert_eq!(ban(entry), banned, "{entry}");
        }
        for entry in [
            "crate = \"c\"",
            "crate = \"b@1.0.1\"",
            "crate = \"b:<1.0.0\"",
            "crate = \"b\", wrappers = [\"a\"]",
        ] {
            assert_eq!(ban(entry), Vec::<String>::new(), "{entry}");
        }
        // Nothing depends on it: a member of the workspace is as banned.
        assert_eq!(ban("crate = \"a\"").len(), 1);
        let early = key("b@1.0.0-rc.1");
        assert!(Spec::parse("b:<1.0.1").unwrap().names(&early));
        assert!(Spec::parse("b").unwrap().names(&early));
    }

    #[test]
    fn two_versions_of_what_must_have_one() {
        let two = supply(&[
            ("a@1.0.0", "MIT", &["b@1.0.0", "b@2.0.0"]),
            ("b@1.0.0", "Apache-2.0 WITH LLVM-exception", &[]),
            ("b@2.0.0", "MIT", &[]),
            ("z@1.0.0", "Zlib", &[]),
        ]);
        let one = "deny = [{ crate = \"b\", deny-multiple-versions = true, reason = \"r\" }]";
        assert_eq!(
            faults(&format!("{one}\nskip = []"), &two),
            ["b@1.0.0 and b@2.0.0 are linked at the same time (r)"]
        );
        let skip = "skip = [{ crate = \"b@1.0.0\", reason = \"s\" }]";
        assert_eq!(
            faults(&format!("{one}\n{skip}"), &two),
            Vec::<String>::new()
        );
        // A second version in tests or build scripts alone does no harm.
        let mut tools = two.clone();
        let program = tools.programs.get_mut("program").unwrap();
        program.linked.remove(&key("b@1.0.0"));
        assert_eq!(
            faults(&format!("{one}\nskip = []"), &tools),
            Vec::<String>::new()
        );
        let found = faults(&format!("{one}\n{skip}"), &tools);
        assert!(found[0].contains("applies to nothing"), "{found:?}");
        let found = faults(
            "deny = [{ crate = \"q\", deny-multiple-versions = true, reason = \"r\" }]\nskip = []",
            &two,
        );
        assert!(found[0].contains("nothing links"), "{found:?}");
    }

    #[test]
    fn any_version() {
        let mut supply = clean();
        let package = supply.packages.get_mut(&key("a@1.0.0")).unwrap();
        package.wildcards.insert("b".to_owned());
        assert_eq!(faults(NO_BANS, &supply), Vec::<String>::new());
        let pinned = supply.pinned.get_mut(&key("a@1.0.0")).unwrap();
        (pinned.source, pinned.checksum) = (None, None);
        supply.packages.get_mut(&key("a@1.0.0")).unwrap().own = true;
        assert_eq!(faults(NO_BANS, &supply), ["a@1.0.0 takes any version of b"]);
    }

    #[test]
    fn rules_that_would_not_be_held_are_refused() {
        for (from, to) in [
            ("unknown-git = \"deny\"", "unknown-git = \"warn\""),
            ("wildcards = \"deny\"", "wildcards = \"warn\""),
            (
                "allow-git = []",
                "allow-git = [\"https://registry.example/x\"]",
            ),
            (
                "multiple-versions = \"allow\"",
                "multiple-versions = \"deny\"",
            ),
            ("skip = [", "skip-tree = ["),
            ("exceptions = []", "exceptions = []\nclarify = []"),
        ] {
            let text = fs::read_to_string(root().unwrap().join("deny.toml")).unwrap();
            assert!(text.contains(from), "{from}");
            let policy = toml::from_str::<Policy>(&text.replace(from, to));
            let held = policy.is_ok_and(|policy| policy.faults(&Supply::default()).is_ok());
            assert!(!held, "{to}");
        }
    }
}
