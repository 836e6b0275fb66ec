//! Powers of tau that somebody changed are refused, each for its reason.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::OnceLock;

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::BigInteger;
use proofmark_ceremony::phase1::{Ptau, contribute, create, prepare, verify};
use proofmark_ceremony::{CeremonyError, NoProgress};

const POWER: u32 = 4;
const G1: usize = 64;
const G2: usize = 128;

/// Two contributions, prepared.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| made("good").1)
}

/// A file with two contributions, before and after its preparation.
fn made(name: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    create(&path("1"), POWER, name, false, &NoProgress).unwrap();
    contribute(
        &Ptau::open(&path("1")).unwrap(),
        &path("2"),
        name,
        &NoProgress,
    )
    .unwrap();
    prepare(&Ptau::open(&path("2")).unwrap(), &path("3"), &NoProgress).unwrap();
    (fs::read(path("2")).unwrap(), fs::read(path("3")).unwrap())
}

/// Where the contents of each section are.
fn sections(bytes: &[u8]) -> BTreeMap<u32, Range<usize>> {
    let mut sections = BTreeMap::new();
    let mut at = 12;
    while at < bytes.len() {
        let id = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap());
        let start = at + 12;
        at = start + usize::try_from(length).unwrap();
        sections.insert(id, start..at);
    }
    sections
}

fn verdict(bytes: &[u8]) -> Result<(), CeremonyError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.ptau");
    fs::write(&path, bytes).unwrap();
    verify(&path, &NoProgress).map(|_| ())
}

/// Code and message of the refusal of a changed file.
fn refused(
    change: impl FnOnce(&mut Vec<u8>, &BTreeMap<u32, Range<usize>>),
) -> (&'static str, String) {
    let mut bytes = good().to_vec();
    let sections = sections(&bytes);
    change(&mut bytes, &sections);
    match verdict(&bytes) {
        Ok(()) => panic!("accepted"),
        Err(error) => (error.code(), error.to_string()),
    }
}

fn g1_bytes(point: G1Affine) -> Vec<u8> {
    [point.x, point.y]
        .iter()
        .flat_map(|c| c.0.to_bytes_le())
        .collect()
}

fn g2_bytes(point: G2Affine) -> Vec<u8> {
    [point.x.c0, point.x.c1, point.y.c0, point.y.c1]
        .iter()
        .flat_map(|c| c.0.to_bytes_le())
        .collect()
}

#[test]
fn the_file_that_the_others_are_made_of_is_good() {
    verdict(good()).unwrap();
    let numbers: Vec<u32> = sections(good()).into_keys().collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15]);
}

#[test]
fn files_that_end_early_or_late() {
    let length = good().len();
    for cut in [
        0,
        3,
        11,
        12,
        20,
        23,
        24,
        60,
        68,
        1000,
        length / 2,
        length - 64,
        length - 1,
    ] {
        let (code, message) = refused(|bytes, _| bytes.truncate(cut));
        assert_eq!(code, "ptau-malformed", "{cut}: {message}");
    }
    assert!(refused(|bytes, _| bytes.push(0)).1.contains("bytes follow"));
}

#[test]
fn headers_that_lie() {
    let header = |at: usize, value: u32| {
        refused(|bytes, sections| {
            let at = sections[&1].start + at;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        })
    };
    for (at, value) in [
        (0, 48),
        (4, 1),
        (36, 3),
        (36, 5),
        (36, 0),
        (36, 40),
        (40, 3),
        (40, 29),
    ] {
        let (code, message) = header(at, value);
        assert_eq!(code, "ptau-malformed", "{at} {value}: {message}");
    }
    // A beginning that is none: the chain starts from another challenge.
    assert_eq!(header(40, 5).0, "ptau-contribution-invalid");
    let start = |at: usize, value: u32| {
        refused(|bytes, _| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes())).0
    };
    assert_eq!(start(0, 7), "ptau-malformed");
    assert_eq!(start(4, 2), "ptau-malformed");
    for count in [0, 10, 12, u32::MAX] {
        assert_eq!(start(8, count), "ptau-malformed", "{count} sections");
    }
    // Lengths of a section.
    for length in [0, 1, u64::MAX, u64::MAX - 11, 1 << 40] {
        let (code, _) = refused(|bytes, sections| {
            let at = sections[&2].start - 8;
            bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        });
        assert_eq!(code, "ptau-malformed", "{length}");
    }
    // Numbers of a section: unknown, twice.
    for (section, number) in [(2, 8), (4, 5), (12, 11), (15, 1)] {
        let (code, _) = refused(|bytes, sections| {
            let at = sections[&section].start - 12;
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
        });
        assert_eq!(code, "ptau-malformed", "section {section} as {number}");
    }
    // A larger power than is supported, in a file that has nothing of it.
    let (code, _) = refused(|bytes, sections| {
        let at = sections[&1].start + 36;
        bytes[at..at + 8].copy_from_slice(&[28, 0, 0, 0, 28, 0, 0, 0]);
    });
    assert_eq!(code, "ptau-unsuitable");
}

#[test]
fn a_point_that_is_another_one() {
    for (section, size) in [
        (2, G1),
        (3, G2),
        (4, G1),
        (5, G1),
        (12, G1),
        (13, G2),
        (14, G1),
        (15, G1),
    ] {
        let count = sections(good())[&section].len() / size;
        for place in [0, 1, 2, count / 2, count - 2, count - 1] {
            let (code, message) = refused(|bytes, sections| {
                let start = sections[&section].start;
                let other = start + size * if place == 3 { 4 } else { 3 };
                bytes.copy_within(other..other + size, start + place * size);
            });
            assert_eq!(
                code, "ptau-inconsistent",
                "point {place} of {section}: {message}"
            );
        }
    }
    let (code, _) = refused(|bytes, sections| {
        let tau = sections[&3].start + G2;
        bytes.copy_within(tau..tau + G2, sections[&6].start);
    });
    assert_eq!(code, "ptau-inconsistent");
}

#[test]
fn two_points_whose_errors_cancel_in_a_plain_sum() {
    // P_5 and P_6 exchanged: every sum with equal weights is the same.
    for (section, size) in [(2, G1), (3, G2), (4, G1), (12, G1), (13, G2)] {
        let (code, _) = refused(|bytes, sections| {
            let at = sections[&section].start + 5 * size;
            let (first, second) = bytes[at..].split_at_mut(size);
            first.swap_with_slice(&mut second[..size]);
        });
        assert_eq!(code, "ptau-inconsistent", "{section}");
    }
}

#[test]
fn points_in_no_group() {
    // A point of the twist outside of the subgroup, and of the curve with another constant.
    let mut seed = 1_u64;
    let outside = loop {
        let x = Fq2::new(Fq::from(seed), Fq::from(3));
        let point = G2Affine::get_point_from_x_unchecked(x, false);
        match point.filter(|point| !point.is_in_correct_subgroup_assuming_on_curve()) {
            Some(point) => break g2_bytes(point),
            None => seed += 1,
        }
    };
    for section in [3, 6, 13] {
        let (code, message) = refused(|bytes, sections| {
            let at = sections[&section].end - G2;
            bytes[at..at + G2].copy_from_slice(&outside);
        });
        assert!(
            code == "ptau-malformed" && message.contains("subgroup"),
            "{message}"
        );
    }
    for (section, size) in [
        (2, G1),
        (3, G2),
        (4, G1),
        (5, G1),
        (6, G2),
        (12, G1),
        (13, G2),
        (14, G1),
    ] {
        for (what, byte) in [
            ("curve", None),
            ("identity", Some(0)),
            ("order", Some(0xff)),
        ] {
            let (code, message) = refused(|bytes, sections| {
                let at = sections[&section].end - size;
                match byte {
                    Some(byte) => bytes[at..at + size].fill(byte),
                    None => bytes[at] ^= 1,
                }
            });
            assert_eq!(code, "ptau-malformed", "{section} {what}");
            assert!(message.contains(what), "{section} {what}: {message}");
        }
    }
}

#[test]
fn sections_that_changed_places() {
    // α's and β's contents, of the powers, of the Lagrange points, and of both.
    for pairs in [vec![(4, 5)], vec![(14, 15)], vec![(4, 5), (14, 15)]] {
        let (code, _) = refused(|bytes, sections| {
            for (one, other) in &pairs {
                let (one, other) = (sections[one].clone(), sections[other].clone());
                let kept = bytes[one.clone()].to_vec();
                bytes.copy_within(other.clone(), one.start);
                bytes[other].copy_from_slice(&kept);
            }
        });
        assert_eq!(code, "ptau-inconsistent");
    }
    // The same by their numbers.
    let (code, _) = refused(|bytes, sections| {
        bytes[sections[&4].start - 12] = 5;
        bytes[sections[&5].start - 12] = 4;
    });
    assert_eq!(code, "ptau-inconsistent");
}

#[test]
fn points_of_another_ceremony() {
    let (_, other) = made("other");
    let theirs = sections(&other);
    // One section, all powers, all but the contributions, only the Lagrange points.
    for numbers in [
        vec![2],
        vec![3],
        vec![4],
        vec![2, 3, 4, 5, 6],
        vec![2, 3, 4, 5, 6, 12, 13, 14, 15],
    ] {
        let (code, _) = refused(|bytes, sections| {
            for number in &numbers {
                bytes[sections[number].clone()].copy_from_slice(&other[theirs[number].clone()]);
            }
        });
        assert_eq!(code, "ptau-inconsistent", "{numbers:?}");
    }
    let (code, _) = refused(|bytes, sections| {
        for number in [12, 13, 14, 15] {
            bytes[sections[&number].clone()].copy_from_slice(&other[theirs[&number].clone()]);
        }
    });
    assert_eq!(code, "ptau-inconsistent");
}

#[test]
fn contributions_dropped_reordered_or_changed() {
    let section = sections(good())[&7].clone();
    let first = section.start + 4;
    let length = (section.end - first) / 2;
    // Without either of the two: the layout stays good, the chain does not.
    for keep in [0, 1] {
        let (code, _) = refused(|bytes, _| {
            bytes[section.start] = 1;
            let dropped = first + (1 - keep) * length;
            bytes.drain(dropped..dropped + length);
            let at = section.start - 8;
            bytes[at..at + 8].copy_from_slice(&(4 + length as u64).to_le_bytes());
        });
        let expected = ["ptau-inconsistent", "ptau-contribution-invalid"][keep];
        assert_eq!(code, expected, "only number {keep}");
    }
    let (code, _) = refused(|bytes, _| {
        let (one, other) = bytes[first..section.end].split_at_mut(length);
        one.swap_with_slice(other);
    });
    assert_eq!(code, "ptau-contribution-invalid");
    // Nobody contributed.
    let (code, _) = refused(|bytes, _| {
        bytes[section.start] = 0;
        bytes.drain(first..section.end);
        let at = section.start - 8;
        bytes[at..at + 8].copy_from_slice(&4_u64.to_le_bytes());
    });
    assert_eq!(code, "ptau-unsuitable");
    assert_eq!(
        refused(|bytes, _| bytes[section.start + 3] = 0xff).0,
        "ptau-malformed"
    );
    // The last one's hashes: its response's hasher, and its challenge.
    let key = 448 + 768;
    for (at, expected) in [
        (length + key + 130, "ptau-inconsistent"),
        (length + key + 192, "ptau-inconsistent"),
        (length + key + 216, "ptau-inconsistent"),
        // Of the one before, what the last one answers to.
        (key + 216, "ptau-contribution-invalid"),
    ] {
        assert_eq!(
            refused(|bytes, _| bytes[first + at] ^= 1).0,
            expected,
            "{at}"
        );
    }
}

#[test]
fn contributors_do_not_multiply_points_of_other_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (mut bytes, _) = made("before");
    let at = sections(&bytes)[&2].end - G1;
    let off = (G1Affine::generator() + G1Affine::generator()).into_affine();
    let off = G1Affine::new_unchecked(off.x, off.y + Fq::from(1));
    bytes[at..at + G1].copy_from_slice(&g1_bytes(off));
    fs::write(path("in"), &bytes).unwrap();
    let refused = contribute(
        &Ptau::open(&path("in")).unwrap(),
        &path("out"),
        "",
        &NoProgress,
    );
    assert_eq!(refused.unwrap_err().code(), "ptau-malformed");
    let refused = prepare(&Ptau::open(&path("in")).unwrap(), &path("out"), &NoProgress);
    assert_eq!(refused.unwrap_err().code(), "ptau-malformed");
    // Nothing is left behind.
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    for name in ["x".repeat(65), "a\nb".to_owned()] {
        let refused = create(&path("out"), POWER, &name, false, &NoProgress).unwrap_err();
        assert_eq!(refused.code(), "ceremony-name-invalid");
    }
    for power in [0, 28, u32::MAX] {
        let refused = create(&path("out"), power, "", false, &NoProgress).unwrap_err();
        assert_eq!(refused.code(), "ptau-unsuitable");
    }
}
