//! `cargo xtask wasm`: the recipient's check for browsers and Node, as it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};
use clap::Args;
use proofmark_types::Digest;

use crate::build::{DEBIAN_RUSTC, cargo_home, debian_library, has_target};
use crate::say;

#[derive(Args)]
pub(crate) struct Options {
    /// Measure what is committed, in Node and in headless Chromium, instead of building it
    #[arg(long)]
    measure: bool,
}

/// The crate that is built.
const PACKAGE: &str = "proofmark-wasm";
/// What it is built for.
const TRIPLE: &str = "wasm32-unknown-unknown";
/// Where cargo leaves it.
const BUILT: &str = "wasm32-unknown-unknown/wasm/proofmark_wasm.wasm";
/// Where the result is, and in `bindgen` the tools for it.
const CLIENT: &str = "clients/typescript";
/// What the result was built from.
const STAMP: &str = "sources.sha256";
/// Most bytes of the wasm, gzipped.
const MAX_GZIPPED: usize = 300_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let client = root().join(CLIENT);
    if options.measure {
        status(
            Command::new("node")
                .arg("test/measure.mjs")
                .current_dir(&client),
        )?;
        return Ok(());
    }
    let target = build()?;
    let fresh = tempfile::tempdir()?;
    status(
        Command::new("cargo")
            .args(["run", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(client.join("bindgen/Cargo.toml"))
            .arg("--")
            .arg(target.join(BUILT))
            .arg(fresh.path())
            .current_dir(root()),
    )?;
    let tools = client.join("bindgen");
    npm(&tools)?;
    let wasm = fresh.path().join("proofmark_bg.wasm");
    let small = fresh.path().join("small.wasm");
    status(
        Command::new("node")
            .arg(tools.join("node_modules/binaryen/bin/wasm-opt"))
            .args([
                "-Os",
                "--strip-debug",
                "--strip-producers",
                "--strip-target-features",
            ])
            .arg(&wasm)
            .arg("-o")
            .arg(&small),
    )?;
    fs::rename(&small, &wasm)?;
    let out = client.join("wasm");
    fs::create_dir_all(&out)?;
    for file in ["proofmark.js", "proofmark.d.ts", "proofmark_bg.wasm"] {
        fs::copy(fresh.path().join(file), out.join(file))
            .with_context(|| format!("cannot write {file}"))?;
    }
    fs::write(out.join(STAMP), format!("{}\n", sources()?.to_hex()))?;
    let (bytes, gzipped) = sizes(&out.join("proofmark_bg.wasm"))?;
    say(&format!("{bytes} bytes, {gzipped} gzipped"))?;
    if gzipped > MAX_GZIPPED {
        bail!("the wasm is {gzipped} bytes gzipped, more than {MAX_GZIPPED}");
    }
    Ok(())
}

/// Compiles for wasm32 and gives the target folder.
fn build() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args([
        "build",
        "--profile",
        "wasm",
        "--target",
        TRIPLE,
        "--package",
        PACKAGE,
    ]);
    // Small hash functions, and no paths of this machine.
    let mut flags = vec![
        "--cfg sha2_backend_soft=\"compact\"".to_owned(),
        format!("--remap-path-prefix={}=", cargo_home()?.display()),
    ];
    if !has_target(TRIPLE) {
        let linker = debian().context(
            "there is no standard library for wasm32: `rustup target add wasm32-unknown-unknown`, \
             or install Debian's rustc-web, rust-web-src and lld-22",
        )?;
        // A panic ends in a trap either way, so that its words are left out.
        flags.push("-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none".to_owned());
        cargo
            .args(["-Z", "build-std=std"])
            .env("RUSTC", DEBIAN_RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    cargo.env(
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        flags.join(" "),
    );
    status(&mut cargo)?;
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// The linker of Debian's packages, where their compiler is installed with its sources.
fn debian() -> Option<PathBuf> {
    debian_library()?;
    let linkers = (18..=30).rev();
    linkers
        .map(|version| PathBuf::from(format!("/usr/lib/llvm-{version}/bin/wasm-ld")))
        .find(|linker| linker.is_file())
}

fn npm(folder: &Path) -> Result<()> {
    status(
        Command::new("npm")
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--silent",
            ])
            .current_dir(folder),
    )
}

fn status(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} failed", command.get_program().display());
    }
    Ok(())
}

/// Bytes of a file, plain and as gzip makes them.
fn sizes(file: &Path) -> Result<(usize, usize)> {
    let gzipped = Command::new("gzip").arg("-9c").arg(file).output()?;
    Ok((fs::read(file)?.len(), gzipped.stdout.len()))
}

/// What the wasm is made of: the sources of the crates in it without comments and tests, their
/// manifests, the profile, and the versions of what they depend on.
fn sources() -> Result<Digest> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let root = root();
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    let profile = workspace
        .split_once("[profile.wasm]")
        .context("the workspace has no profile for wasm")?
        .1;
    parts.insert("profile".to_owned(), profile.to_owned());
    let mut folders = Vec::new();
    let mut versions = BTreeSet::new();
    for package in reached()? {
        if package.source.is_none() {
            let manifest = package.manifest_path.into_std_path_buf();
            folders.extend(manifest.parent().map(Path::to_owned));
        } else {
            versions.insert(format!("{} {}", package.name, package.version));
        }
    }
    parts.insert(
        "versions".to_owned(),
        versions.into_iter().collect::<Vec<_>>().join("\n"),
    );
    for folder in folders {
        collect(&root, &folder.join("src"), &mut parts)?;
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
        let depends = manifest.split("[dev-dependencies]").next();
        let name = name_of(&root, &folder)?;
        parts.insert(name, depends.unwrap_or_default().to_owned());
    }
    let mut all = String::new();
    for (name, text) in parts {
        all.push_str(&format!("{name} {}\n{text}\n", text.len()));
    }
    Ok(Digest::of(all.as_bytes()))
}

/// The packages that the wasm consists of.
fn reached() -> Result<Vec<cargo_metadata::Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec![
            "--offline".to_owned(),
            "--locked".to_owned(),
            format!("--filter-platform={}", host()?),
        ])
        .exec()?;
    let resolve = metadata.resolve.as_ref().context("nothing is resolved")?;
    let start = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == PACKAGE)
        .context("the workspace has no package for wasm")?;
    let mut seen = BTreeSet::from([start.id.clone()]);
    let mut queue = vec![start.id.clone()];
    while let Some(id) = queue.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == id);
        for dependency in node.map_or(&[][..], |node| node.deps.as_slice()) {
            let normal = |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Normal;
            if dependency.dep_kinds.iter().any(normal) && seen.insert(dependency.pkg.clone()) {
                queue.push(dependency.pkg.clone());
            }
        }
    }
    let packages = metadata.packages.into_iter();
    Ok(packages
        .filter(|package| seen.contains(&package.id))
        .collect())
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc names no host")
}

fn name_of(root: &Path, path: &Path) -> Result<String> {
    let (root, path) = (root.canonicalize()?, path.canonicalize()?);
    Ok(path.strip_prefix(root)?.display().to_string())
}

fn collect(root: &Path, folder: &Path, into: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, into)?;
        } else {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} is no text", path.display()))?;
            into.insert(name_of(root, &path)?, compiled(&text));
        }
    }
    Ok(())
}

/// A source without what does not reach the compiler: comments on lines of their own, and the unit
/// tests at its end.
fn compiled(source: &str) -> String {
    let code = source.split("\n#[cfg(test)]\nmod ").next();
    let lines = code.unwrap_or_default().lines();
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_wasm_is_of_these_sources() {
        let folder = root().join(CLIENT).join("wasm");
        let stamp = fs::read_to_string(folder.join(STAMP)).unwrap();
        assert_eq!(
            stamp.trim_end(),
            sources().unwrap().to_hex(),
            "what browsers load is older than its sources: run `cargo xtask wasm` and commit {CLIENT}/wasm"
        );
        let (_, gzipped) = sizes(&folder.join("proofmark_bg.wasm")).unwrap();
        assert!(gzipped <= MAX_GZIPPED, "{gzipped}");
    }

    #[test]
    fn comments_and_tests_do_not_count() {
        let source = "//! Doc.\nfn a() {}\n    // why\n\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(compiled(source), "fn a() {}\n");
        assert_ne!(compiled("fn a() {}\n"), compiled("fn b() {}\n"));
    }
}
