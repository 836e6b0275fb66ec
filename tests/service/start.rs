//! What a service refuses to start with: damaged keys, manifests, models and data folders.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use proofmark_tests::service::{Ended, SERVED, Start, copy_package, only, proofmark, run, seal};
use proofmark_types::Digest;
use proofmark_types::manifest::SetupKind;
use serde_json::Value;

use crate::{DIGITS, RISK};

fn serve(packages: &Path, data: &Path, more: &[&str]) -> Ended {
    let start = Start {
        packages,
        data,
        more,
    };
    run(&mut start.command())
}

/// Damages a package, and expects that `serve` and `prove` refuse it with this code and say what
/// to do.
fn refused(code: &str, words: &[&str], damage: impl FnOnce(&Path)) {
    let folder = only(RISK);
    let package = folder.path().join(RISK);
    damage(&package);
    let data = tempfile::tempdir().unwrap();
    let detail = serve(folder.path(), data.path(), &[]).refused(1, code);
    for word in words {
        assert!(detail.contains(word), "{word:?} in {detail:?}");
    }
    let receipt = data.path().join("receipt.json");
    let proven = run(proofmark(&["prove", "--json", "--sample", "0"])
        .arg("--package")
        .arg(&package)
        .arg("--input")
        .arg(proofmark_tests::samples::folder(RISK).join("heldout.npz"))
        .arg("--receipt")
        .arg(&receipt));
    proven.refused(1, code);
    assert!(!receipt.exists());
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, to: impl Fn(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..to(bytes.len())]).unwrap();
}

#[test]
fn a_damaged_proving_key() {
    let words = ["fetch it again or run setup"];
    for part in 1..4 {
        refused("key-digest-mismatch", &words, |package| {
            flip(&package.join("proving_key.bin"), |len| part * (len - 1) / 3);
        });
    }
    // The first bytes say what the file is.
    refused("key-malformed", &words, |package| {
        flip(&package.join("proving_key.bin"), |_| 0);
    });
}

#[test]
fn a_proving_key_cut_off() {
    for cut_to in [0, 10, 1000] {
        let folder = only(RISK);
        cut(&folder.path().join(RISK).join("proving_key.bin"), |_| {
            cut_to
        });
        let data = tempfile::tempdir().unwrap();
        let ended = serve(folder.path(), data.path(), &[]);
        let detail = ended.refused(1, "package-file-digest");
        assert!(detail.contains("proving_key.bin"), "{detail}");
    }
}

#[test]
fn a_damaged_verifying_key() {
    refused("package-file-digest", &["verifying_key.bin"], |package| {
        flip(&package.join("verifying_key.bin"), |len| len / 2);
    });
}

#[test]
fn a_damaged_model() {
    refused("package-file-digest", &["integer.onnx"], |package| {
        flip(&package.join("integer.onnx"), |len| len - 1);
    });
}

#[test]
fn a_damaged_transcript() {
    refused("package-file-digest", &["transcript.json"], |package| {
        flip(&package.join("transcript.json"), |len| len / 2);
    });
}

#[test]
fn a_missing_key() {
    let folder = only(RISK);
    fs::remove_file(folder.path().join(RISK).join("proving_key.bin")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let ended = serve(folder.path(), data.path(), &[]);
    assert!([1, 3].contains(&ended.exit), "{ended:?}");
    let detail = ended.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("proving_key.bin"), "{detail}");
}

#[test]
fn a_manifest_that_is_not_in_its_strict_form() {
    refused("manifest-malformed", &[], |package| {
        cut(&package.join("manifest.json"), |len| len / 2);
    });
    refused("manifest-not-canonical", &[], |package| {
        let path = package.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "\n").unwrap();
    });
}

/// A manifest that was changed with care: every digest in it fits its file.
fn forged(package: &Path, change: impl FnOnce(&mut proofmark_types::Manifest)) {
    let path = package.join("manifest.json");
    let mut manifest = proofmark_types::Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.to_bytes().unwrap()).unwrap();
}

#[test]
fn a_manifest_that_names_another_circuit() {
    refused("circuit-digest-mismatch", &["proofmark setup"], |package| {
        forged(package, |manifest| {
            manifest.sealed.as_mut().unwrap().circuit.digest = Digest::of(b"another");
        });
    });
}

#[test]
fn a_translation_report_that_is_missing_or_of_another_model() {
    refused("translation-missing", &["proofmark setup"], |package| {
        forged(package, |manifest| manifest.translation = None);
    });
    let theirs = proofmark_tests::service::Public::of(DIGITS);
    refused("translation-mismatch", &["model"], |package| {
        let source = proofmark_tests::service::packages().join(DIGITS);
        let file = "translation.json";
        fs::copy(source.join(file), package.join(file)).unwrap();
        forged(package, |manifest| {
            manifest.translation = theirs.manifest.translation;
        });
    });
    refused("package-file-digest", &["translation.json"], |package| {
        flip(&package.join("translation.json"), |len| len / 2);
    });
}

#[test]
fn keys_of_another_model() {
    // All digests fit the files, and the files are whole: it is the wrong model all the same.
    let folder = only(RISK);
    let package = folder.path().join(RISK);
    let other = proofmark_tests::service::Public::of(DIGITS);
    let theirs = other.manifest.sealed.unwrap();
    let source = proofmark_tests::service::packages().join(DIGITS);
    for file in ["proving_key.bin", "verifying_key.bin", "transcript.json"] {
        fs::copy(source.join(file), package.join(file)).unwrap();
    }
    forged(&package, |manifest| {
        let sealed = manifest.sealed.as_mut().unwrap();
        sealed.verifying_key = theirs.verifying_key;
        sealed.proving_key = theirs.proving_key;
        sealed.transcript = theirs.transcript;
    });
    let data = tempfile::tempdir().unwrap();
    let ended = serve(folder.path(), data.path(), &[]);
    ended.refused(1, "transcript-mismatch");
}

/// A transcript that admits that everybody knows the trapdoor, under a manifest that does not; and
/// one of a single party under a manifest that names a ceremony.
#[test]
fn a_key_that_everyone_can_forge_with() {
    refused("manifest-mismatch", &["kind of setup"], |package| {
        let path = package.join("transcript.json");
        let text = fs::read_to_string(&path).unwrap();
        let dev = text.replace("\"single-party\"", "\"unsafe-dev\"");
        assert_ne!(dev, text);
        fs::write(&path, &dev).unwrap();
        forged(package, |manifest| {
            let transcript = &mut manifest.sealed.as_mut().unwrap().transcript;
            transcript.digest = Digest::of(dev.as_bytes());
            transcript.bytes = u64::try_from(dev.len()).unwrap();
        });
    });
    refused("manifest-mismatch", &["kind of setup"], |package| {
        forged(package, |manifest| {
            manifest.sealed.as_mut().unwrap().setup_kind = SetupKind::Ceremony;
        });
    });
}

#[test]
fn a_damaged_service_key_or_database() {
    let folder = only(RISK);
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("service_key"), [7; 31]).unwrap();
    let detail = serve(folder.path(), data.path(), &[]).refused(3, "service-key");
    assert!(detail.contains("service_key"), "{detail}");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        let key = data.path().join("service_key");
        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let detail = serve(folder.path(), data.path(), &[]).refused(3, "service-key");
        assert!(detail.contains("chmod 600"), "{detail}");
    }

    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("proofmark.sqlite"), [7; 8192]).unwrap();
    let ended = serve(folder.path(), data.path(), &[]);
    assert_eq!(ended.exit, 3, "{ended:?}");
    let detail = ended.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("proofmark.sqlite"), "{detail}");
}

#[test]
fn an_address_in_use_and_settings_that_make_no_sense() {
    let folder = only(RISK);
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = serve(folder.path(), data.path(), &["--listen", &address]);
    let detail = ended.refused(3, "listen-failed");
    assert!(detail.contains("choose another address"), "{detail}");
    for more in [["--queue", "0"], ["--workers", "0"], ["--deadline", "0"]] {
        let ended = serve(folder.path(), data.path(), &more);
        ended.refused(2, "server-config");
    }
    assert_eq!(
        serve(folder.path(), data.path(), &["--listen", "nowhere"]).exit,
        2
    );
}

#[test]
fn a_folder_without_a_sealed_package_or_with_one_twice() {
    let data = tempfile::tempdir().unwrap();
    let gone = data.path().join("gone");
    serve(&gone, data.path(), &[]).refused(3, "file-unreadable");
    let empty = tempfile::tempdir().unwrap();
    let ended = serve(empty.path(), data.path(), &[]);
    ended.refused(2, "package-missing");

    let work = tempfile::tempdir().unwrap();
    let (name, labels) = SERVED[0];
    // The draft alone.
    seal(
        name,
        labels,
        &[],
        work.path(),
        &work.path().join("sealed").join(name),
    );
    let drafts = work.path().join("drafts");
    fs::create_dir(&drafts).unwrap();
    fs::rename(work.path().join(format!("{name}.draft")), drafts.join(name)).unwrap();
    let ended = serve(&drafts, data.path(), &[]);
    ended.refused(2, "package-missing");
    assert!(
        ended.stderr.contains("run `proofmark setup`"),
        "the draft is named: {ended:?}"
    );

    let twice = only(RISK);
    fs::rename(twice.path().join(RISK), twice.path().join("first")).unwrap();
    copy_package(RISK, twice.path());
    let detail = serve(twice.path(), data.path(), &[]).refused(2, "duplicate-model");
    assert!(detail.contains("serve one of them"), "{detail}");
}

#[test]
fn a_pinned_package_is_the_only_one_that_is_proven_with() {
    let folder = only(RISK);
    let receipt = folder.path().join("receipt.json");
    let other = Digest::of(b"another").to_string();
    let proven = run(proofmark(&[
        "prove",
        "--json",
        "--sample",
        "0",
        "--package-digest",
        &other,
    ])
    .arg("--package")
    .arg(folder.path().join(RISK))
    .arg("--input")
    .arg(proofmark_tests::samples::folder(RISK).join("heldout.npz"))
    .arg("--receipt")
    .arg(&receipt));
    proven.refused(1, "package-not-pinned");
    assert!(!receipt.exists());
    // What is refused is said for people as well, on stderr, with the same code.
    let ended = run(proofmark(&["serve", "--listen", "127.0.0.1:0"])
        .arg("--packages")
        .arg(folder.path().join("nothing"))
        .arg("--data")
        .arg(folder.path().join("data")));
    assert_eq!(ended.exit, 3);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("[file-unreadable]"), "{ended:?}");
    assert!(serde_json::from_str::<Value>(&ended.stderr).is_err());
}
