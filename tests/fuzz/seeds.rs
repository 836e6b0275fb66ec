//! The seeds of the corpus: of each format what is right, and what was once found wrong or might be,
//! each with a name that says what it is. How each ends is not said here but in its file's name.

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger as _, Field as _, PrimeField as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
use proofmark_ceremony::phase2::file::write_initial;
use proofmark_ceremony::phase2::{Factors, InitialKey, Powers, Texts, domain_power, file};
use proofmark_ceremony::{Lagrange, zkey};
use proofmark_gadgets::{Backend, Circuit, Lc, Lowering};
use proofmark_log::{Entry, Notice, ReceiptEntry, SignedNotice, Statement, Subject};
use proofmark_prover::ceremony::{BeaconRecord, HexBytes};
use proofmark_prover::{
    NoProgress, QuotientForm, SetupRecord, Transcript, key_file, unsafe_dev_setup,
};
use proofmark_tests::build::Builder;
use proofmark_tlog::note::{KeyKind, sign};
use proofmark_tlog::tile::{encode_tile, push_entry};
use proofmark_tlog::witness::AddCheckpoint;
use proofmark_tlog::{Checkpoint, Hash, SignedCheckpoint, TlogProof, VerifierKey, leaf_hash};
use proofmark_types::attestation::SignedAttestation;
use proofmark_types::{Digest, ElemType, Envelope};
use proofmark_verifier::{decode_proof, encode_proof};

use crate::decoders::{ATTESTATION, MANIFEST, RECEIPT, VERIFYING_KEY};

/// Decoder, name, bytes.
pub(crate) type Seed = (&'static str, String, Vec<u8>);

/// Seeds under construction.
struct Seeds(Vec<Seed>);

impl Seeds {
    fn add(&mut self, decoder: &'static str, what: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((decoder, what.to_owned(), bytes.into()));
    }

    /// What is right, and the ways in which any file goes wrong.
    fn spoilt(&mut self, decoder: &'static str, what: &str, bytes: &[u8]) {
        self.add(decoder, what, bytes);
        self.add(
            decoder,
            &format!("{what}-cut-off"),
            &bytes[..bytes.len() / 2],
        );
        self.add(
            decoder,
            &format!("{what}-and-more"),
            [bytes, b"\n"].concat(),
        );
    }

    fn text(&mut self, decoder: &'static str, text: &str, changes: &[(&str, &str, &str)]) {
        for (what, from, to) in changes {
            assert!(text.contains(from), "{decoder}: {what}: {from}");
            self.add(decoder, what, text.replacen(from, to, 1));
        }
    }
}

/// All seeds.
pub(crate) fn all() -> Vec<Seed> {
    let mut seeds = Seeds(Vec::new());
    onnx(&mut seeds);
    package(&mut seeds);
    keys(&mut seeds);
    receipts(&mut seeds);
    attestations(&mut seeds);
    log(&mut seeds);
    http(&mut seeds);
    ceremony(&mut seeds);
    seeds.0
}

fn onnx(seeds: &mut Seeds) {
    let mut b = Builder::new();
    let x = b.input(ElemType::Uint8, &[1, 3]);
    let w = b.ints(ElemType::Uint8, &[3, 2], vec![1, 2, 3, 250, 128, 9]);
    let sum = b.node("", "MatMulInteger", &[&x, &w], &[]);
    let bias = b.ints(ElemType::Int32, &[2], vec![-900, 40_000]);
    let y = b.node("", "Add", &[&sum, &bias], &[]);
    b.output(&y, ElemType::Int32, &[1, 2]);
    let mut model = b.finish();
    seeds.spoilt("onnx", "dense", &proofmark_onnx::encode(&model));
    // The first node reads what the second makes, and the other way round.
    let last = model.graph.nodes.len() - 1;
    let made = model.graph.nodes[last].outputs[0].clone();
    model.graph.nodes[0].inputs[0] = made;
    seeds.add("onnx", "cycle", proofmark_onnx::encode(&model));
    seeds.add("onnx", "empty", []);
    // Field 7, the graph, two gigabytes long.
    seeds.add(
        "onnx",
        "two-gigabytes",
        [8, 10, 0x3a, 0xff, 0xff, 0xff, 0xff, 7],
    );
    // Graphs inside attributes of nodes of graphs.
    let mut nested = Vec::new();
    for _ in 0..200 {
        nested = [field(6, &nested), field(1, b"g")].concat();
        nested = field(5, &nested);
        nested = field(1, &nested);
    }
    seeds.add("onnx", "nested", [vec![8, 10], field(7, &nested)].concat());
    seeds.add(
        "onnx",
        "many-empty-nodes",
        [vec![8, 10], field(7, &[0x0a, 0].repeat(2000))].concat(),
    );
}

/// A field of protobuf with a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend(bytes);
    out
}

fn package(seeds: &mut Seeds) {
    seeds.spoilt("manifest", "golden", MANIFEST);
    let text = core::str::from_utf8(MANIFEST).expect("text");
    seeds.text(
        "manifest",
        text,
        &[
            ("unknown-member", "{\n", "{\n  \"x\": 1,\n"),
            ("other-format", "package/v1", "package/v9"),
            ("huge-shape", "40", "268435456"),
            ("path", "integer.onnx", "../integer.onnx"),
            (
                "deep",
                "\"inputs\": [",
                &format!("\"inputs\": [{}", "[".repeat(500)),
            ),
        ],
    );
    let digest = |what: &str| Digest::of(what.as_bytes());
    let transcript = Transcript::new(
        SetupRecord::SingleParty,
        digest("circuit"),
        digest("proving key"),
        digest("verifying key"),
    )
    .to_bytes();
    seeds.spoilt("transcript", "single-party", &transcript);
    let text = String::from_utf8(transcript).expect("text");
    seeds.text(
        "transcript",
        &text,
        &[
            ("ceremony-without-contributions", "single-party", "ceremony"),
            ("unsafe-dev", "single-party", "unsafe-dev"),
            ("upper-case", "sha256:", "SHA256:"),
        ],
    );
}

/// A circuit of one public input and its square; with a challenge also of a looked-up byte.
fn circuit(backend: Backend) -> Circuit {
    let mut cx = Lowering::shape(backend, 1).expect("a lowering");
    let input = cx.public(0).expect("an input");
    let square = cx
        .hint_signal("square", || input.value.square())
        .expect("a wire");
    cx.enforce("square", input.lc.clone(), input.lc, square.lc)
        .expect("a constraint");
    let bit = cx.hint("bit", || Fr::ONE).expect("a wire");
    let complement = Lc::constant(Fr::ONE).add_scaled(-Fr::ONE, &Lc::wire(bit));
    cx.enforce("bit", Lc::wire(bit), complement, Lc::zero())
        .expect("a constraint");
    cx.close().expect("the argument");
    cx.into_circuit(1, Vec::new()).expect("a circuit")
}

fn keys(seeds: &mut Seeds) {
    seeds.spoilt("verifying_key", "golden", VERIFYING_KEY);
    let mut key = VERIFYING_KEY.to_vec();
    key[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    seeds.add("verifying_key", "four-billion-inputs", key);
    let g2 = |at: usize| 20 + 64 + at * 128;
    let mut key = VERIFYING_KEY.to_vec();
    key.copy_within(g2(1)..g2(2), g2(2));
    seeds.add("verifying_key", "delta-is-gamma", key);
    let mut key = VERIFYING_KEY.to_vec();
    key[20..84].fill(0);
    seeds.add("verifying_key", "alpha-is-zero", key);
    let mut key = VERIFYING_KEY.to_vec();
    key[20..52].fill(0xff);
    seeds.add("verifying_key", "coordinate-not-reduced", key);
    let mut key = VERIFYING_KEY.to_vec();
    key[..16].copy_from_slice(b"proofmark/vkc/v1");
    seeds.add("verifying_key", "of-the-other-backend", key);

    let envelope = Envelope::parse(RECEIPT).expect("the golden receipt");
    let proof: &[u8] = envelope.receipt().proof.as_ref();
    seeds.spoilt("proof", "golden", proof);
    let mut decoded = decode_proof(proof).expect("a proof");
    decoded.commitment = Some(decoded.groth16.a);
    seeds.add("proof", "with-a-commitment", encode_proof(decoded).as_ref());
    let mut zero = proof.to_vec();
    zero[..64].fill(0);
    seeds.add("proof", "a-is-zero", zero);
    let mut off = proof.to_vec();
    off[63] ^= 1;
    seeds.add("proof", "a-off-the-curve", off);
    let mut large = proof.to_vec();
    large[..32].fill(0xff);
    seeds.add("proof", "not-reduced", large);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    for (what, backend) in [("plain", Backend::Plain), ("committed", Backend::Committed)] {
        let circuit = circuit(backend);
        let key = unsafe_dev_setup(&circuit, [1; 32], QuotientForm::Standard, &NoProgress);
        let key = key.expect("a key");
        key_file::write(&path, &circuit.digest(), &key).expect("the file");
        let bytes = std::fs::read(&path).expect("the file");
        seeds.spoilt("proving_key", what, &bytes);
        let mut huge = bytes.clone();
        huge[60..68].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        seeds.add("proving_key", &format!("{what}-huge-count"), huge);
        let mut off = bytes.clone();
        off[116] ^= 1;
        seeds.add("proving_key", &format!("{what}-off-the-curve"), off);
        let mut zero = bytes;
        zero[116..180].fill(0);
        seeds.add("proving_key", &format!("{what}-alpha-is-zero"), zero);
    }
}

fn receipts(seeds: &mut Seeds) {
    seeds.spoilt("receipt", "golden", RECEIPT);
    let envelope = Envelope::parse(RECEIPT).expect("the golden receipt");
    let payload = envelope.payload();
    seeds.spoilt("receipt", "payload", payload);
    let text = core::str::from_utf8(payload).expect("text");
    seeds.text(
        "receipt",
        text,
        &[
            ("unknown-member", "{\"_type\"", "{\"x\":0,\"_type\""),
            (
                "other-predicate",
                "proven-inference/v1",
                "proven-inference/v9",
            ),
            ("blank", "\"predicate\":", "\"predicate\": "),
            ("another-name", "squares", "circles"),
            ("another-nonce", "0909", "0908"),
        ],
    );
    let mut text = core::str::from_utf8(RECEIPT).expect("text").to_owned();
    let payload = BASE64.encode(payload);
    let at = text.find(&payload).expect("the payload");
    text.replace_range(at..at + 8, "!!!!!!!!");
    seeds.add("receipt", "payload-not-base64", text);
    let text = core::str::from_utf8(RECEIPT).expect("text");
    let open = "\"signatures\":[";
    let (front, signatures) = text.split_once(open).expect("signatures");
    let one = signatures.split(']').next().expect("one");
    seeds.add(
        "receipt",
        "two-signatures",
        format!("{front}{open}{one},{signatures}"),
    );
}

fn attestations(seeds: &mut Seeds) {
    seeds.spoilt("attestation", "envelope", ATTESTATION);
    let envelope = core::str::from_utf8(ATTESTATION).expect("text");
    seeds.text(
        "attestation",
        envelope,
        &[
            ("other-type", "in-toto+json", "octet-stream"),
            ("bad-base64", "eyJ", "ey!"),
            (
                "no-signature",
                "\"signatures\":[{",
                "\"signatures\":[],\"x\":[{",
            ),
        ],
    );
    seeds.add("attestation", "receipt", RECEIPT);
    let signed = SignedAttestation::parse(ATTESTATION).expect("the golden attestation");
    seeds.spoilt("attestation", "payload", signed.payload());
    let payload = core::str::from_utf8(signed.payload()).expect("text");
    let package = Digest::of(MANIFEST).to_hex();
    seeds.text(
        "attestation",
        payload,
        &[
            ("other-package", &package, &"0".repeat(64)),
            ("other-setup", "single-party", "ceremony"),
            ("other-predicate", "package-audit/v1", "package-audit/v2"),
            ("other-subject", "transcript.json", "transcript.jsom"),
            ("failed-check", "not-checked", "fail"),
            ("open-check", "\"pass\"", "\"not-checked\""),
            ("doubled-check", "circuit-model", "circuit-digest"),
            ("unknown-member", "\"report\"", "\"x\":[],\"report\""),
            ("huge-count", "\"given\":3", "\"given\":9007199254740992"),
            ("more-accepted-than-given", "\"given\":3", "\"given\":1"),
            ("line-feed", "The weights", "The\\nweights"),
            ("escaped", "The weights", "\\u0054he weights"),
            (
                "deep",
                "\"checks\":[",
                &format!("\"checks\":[{}", "[".repeat(500)),
            ),
        ],
    );
}

fn log(seeds: &mut Seeds) {
    let key = SigningKey::from_bytes(&[3; 32]);
    let origin = "log.example/one";
    let entries: Vec<Vec<u8>> = (0..3_u8).map(|n| vec![n; 5]).collect();
    let leaves: Vec<Hash> = entries.iter().map(|e| leaf_hash(e)).collect();
    let checkpoint = Checkpoint::new(origin, 1, leaves[0]).expect("a checkpoint");
    let signed = SignedCheckpoint::sign(checkpoint, &key).expect("a note");
    seeds.spoilt("tlog", "checkpoint", signed.to_string().as_bytes());
    let text = signed.to_string();
    seeds.text(
        "tlog",
        &text,
        &[
            ("size-with-a-zero", "\n1\n", "\n01\n"),
            ("size-of-65-bits", "\n1\n", "\n18446744073709551616\n"),
            ("no-signature", "\n\n\u{2014}", "\n\n-"),
        ],
    );
    let proof = TlogProof {
        extra: Some(b"extra".to_vec()),
        index: 0,
        path: leaves[1..].to_vec(),
        checkpoint: signed.clone(),
    };
    seeds.spoilt("tlog", "proof", proof.to_string().as_bytes());
    let request = AddCheckpoint {
        old_size: 1,
        proof: leaves.clone(),
        checkpoint: signed,
    };
    seeds.spoilt("tlog", "add-checkpoint", request.to_string().as_bytes());
    let verifier = VerifierKey::new(origin, KeyKind::Ed25519, &key.verifying_key().to_bytes());
    seeds.spoilt(
        "tlog",
        "key",
        verifier.expect("a key").to_string().as_bytes(),
    );
    let signature = sign("text\n", origin, &key).expect("a signature");
    seeds.add("tlog", "signature", format!("{signature}\n"));
    seeds.add("tlog", "tile", encode_tile(&leaves[..1]));
    seeds.add("tlog", "path", "tile/0/x001/234.p/5");
    seeds.add("tlog", "path-of-width-0", "tile/0/000.p/0");
    let mut bundle = Vec::new();
    push_entry(&mut bundle, &entries[0]).expect("an entry");
    seeds.add("tlog", "bundle", bundle);

    let digest = |what: &str| Digest::of(what.as_bytes());
    let receipt = Entry::Receipt(ReceiptEntry {
        receipt: digest("receipt"),
        package: digest("package"),
        proved_at: 1_764_000_000,
    });
    let bytes = receipt.to_bytes().expect("an entry");
    seeds.spoilt("log_entry", "receipt", &bytes);
    let text = String::from_utf8(bytes).expect("text");
    seeds.text(
        "log_entry",
        &text,
        &[
            ("unknown-kind", "\"receipt\"", "\"offer\""),
            ("time-above-2-to-53", "1764000000", "9007199254740993"),
            ("other-format", "log-entry/v1", "log-entry/v9"),
        ],
    );
    let subject = Subject::Circuit(digest("circuit"));
    let new = SigningKey::from_bytes(&[4; 32]);
    let notice = |statement| Notice {
        log: origin.to_owned(),
        issued_at: 1_764_000_000,
        statement,
    };
    for (what, notice) in [
        (
            "advisory",
            notice(Statement::Advisory {
                title: "title".to_owned(),
                text: "line\nline".to_owned(),
                subjects: vec![subject],
            }),
        ),
        (
            "revocation",
            notice(Statement::Revocation {
                subject,
                from: 7,
                reason: "unsound".to_owned(),
            }),
        ),
        (
            "rotation",
            Notice::rotation(origin, 1_764_000_000, &key, &new, "yearly").expect("a rotation"),
        ),
    ] {
        let signed = SignedNotice::sign(notice, &key).expect("a notice");
        let envelope = signed.envelope().to_bytes().expect("an envelope");
        seeds.add("log_entry", &format!("{what}-alone"), envelope);
        seeds.spoilt(
            "log_entry",
            what,
            &Entry::Notice(signed).to_bytes().expect("an entry"),
        );
    }
}

fn http(seeds: &mut Seeds) {
    let zeros = |count: usize| vec!["0"; count].join(",");
    let (image, features) = (zeros(40), zeros(4));
    let body = format!(
        "{{\"id\":\"a\",\"parameters\":{{\"nonce\":\"0x{}\",\"chain_id\":1,\"deadline\":5}},\"inputs\":[\
         {{\"name\":\"image\",\"shape\":[1,40],\"datatype\":\"UINT8\",\"data\":[[{image}]]}},\
         {{\"name\":\"features\",\"shape\":[4],\"datatype\":\"INT8\",\"data\":[{features}]}}],\
         \"outputs\":[{{\"name\":\"logits\"}}]}}",
        "01".repeat(32)
    );
    seeds.spoilt("http_infer", "whole", body.as_bytes());
    let deep = format!("[{}", "[".repeat(300));
    seeds.text(
        "http_infer",
        &body,
        &[
            ("out-of-range", "[[0,", "[[256,"),
            ("float-for-integer", "[[0,", "[[0.5,"),
            ("exponent", "[[0,", "[[1e308,"),
            ("null", "[[0,", "[[null,"),
            ("ragged", "[[0,", "[[0],["),
            ("deep", "[[0,", &deep),
            ("shape", "[1,40]", "[18446744073709551615,2]"),
            ("unknown-input", "features", "futures"),
            ("unknown-output", "logits", "digits"),
            ("short-nonce", "0x01", "0x"),
            ("negative-chain", "\"chain_id\":1", "\"chain_id\":-1"),
            (
                "late-deadline",
                "\"deadline\":5",
                "\"deadline\":9007199254740993",
            ),
            ("no-inputs", "\"inputs\"", "\"puts\""),
        ],
    );
    let package = Digest::of(MANIFEST);
    let receipt = core::str::from_utf8(RECEIPT).expect("text");
    let body = format!(
        "{{\"receipt\":{receipt},\"package_digest\":\"{package}\",\"nonce\":\"0x{}\"}}",
        "09".repeat(32)
    );
    seeds.spoilt("http_verify", "object", body.as_bytes());
    let encoded = BASE64.encode(RECEIPT);
    seeds.add(
        "http_verify",
        "base64",
        format!("{{\"receipt\":\"{encoded}\",\"package_digest\":\"{package}\"}}"),
    );
    let short =
        format!("{{\"receipt\":\"AAAA\",\"package_digest\":\"{package}\",\"nonce\":\"0x00\"}}");
    seeds.text(
        "http_verify",
        &short,
        &[
            ("short-nonce", "AAAA", "AAAA"),
            ("not-base64", "\"AAAA\"", "\"A\\u0000\""),
            ("number", "\"AAAA\"", "1e400"),
            ("digest", "sha256:", "sha1:"),
            ("unknown-member", "\"nonce\"", "\"once\""),
        ],
    );
}

/// Multiples of a generator, one after the other.
fn multiples<C: AffineRepr<ScalarField = Fr>>(from: u64, count: usize) -> Vec<C> {
    (from..)
        .take(count)
        .map(|k| (C::generator() * Fr::from(k)).into())
        .collect()
}

/// A key that is derived from any points in place of powers, and contributions to it with a beacon's
/// secrets, so that the files are the same whenever they are made.
fn ceremony(seeds: &mut Seeds) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let read = |name: &str| std::fs::read(at(name)).expect("a file");
    for (what, backend) in [("plain", Backend::Plain), ("committed", Backend::Committed)] {
        let circuit = circuit(backend);
        let power = domain_power(&circuit).expect("a size");
        let size = 1 << power;
        let [alpha, beta] = [multiples(1001, 1), multiples(1002, 1)].map(|p: Vec<G1Affine>| p[0]);
        let lagrange = Lagrange {
            power,
            g1: multiples(1, size),
            g2: multiples(1, size),
            alpha_g1: multiples(100, size),
            beta_g1: multiples(200, size),
            odd_g1: multiples(300, size),
            alpha,
            beta,
            beta_g2: multiples::<G2Affine>(1002, 1)[0],
        };
        let powers = Powers {
            digest: Digest::of(b"powers"),
            lagrange: &lagrange,
            tau_g1: &multiples(1, 2 * size),
        };
        let initial = InitialKey::new(&circuit, &powers, &NoProgress).expect("a key");
        write_initial(&at("0"), &initial).expect("a file");
        // A beacon's secrets, as a person would have drawn them, and then a beacon that says so.
        let beacon = BeaconRecord {
            value: HexBytes(vec![7; 8]),
            iterations_log2: 10,
        };
        for (from, to, name, announced) in [
            ("0", "1", "one", None),
            ("1", "2", "a beacon", Some(beacon.clone())),
        ] {
            let factors = Factors::from_beacon(&beacon, initial.is_committed(), &NoProgress);
            let texts = Texts {
                name: name.to_owned(),
                statement: "for the corpus".to_owned(),
                beacon: announced,
            };
            let factors = factors.expect("factors");
            file::contribute(&at(from), &at(to), &factors, texts, &NoProgress).expect("a file");
        }
        seeds.add("contribution", &format!("{what}-initial"), read("0"));
        seeds.add("contribution", &format!("{what}-first"), read("1"));
        seeds.spoilt("contribution", &format!("{what}-beacon"), &read("2"));
        let mut changed = read("2");
        let middle = changed.len() / 3;
        changed[middle] ^= 1;
        seeds.add("contribution", &format!("{what}-changed"), changed);
        let opened = file::Contribution::open(&at("2"), &NoProgress).expect("the file");
        let (key, record) = opened.into_key(&initial, &NoProgress).expect("the key");
        let digest = Digest::of(b"key");
        let transcript = Transcript::of_ceremony(record.clone(), circuit.digest(), digest, digest);
        seeds.spoilt(
            "transcript",
            &format!("ceremony-{what}"),
            &transcript.to_bytes(),
        );
        if backend == Backend::Plain {
            let records = &record.contributions;
            zkey::write(&at("zkey"), &circuit, &initial, &key, records).expect("a file");
            let bytes = read("zkey");
            seeds.spoilt("zkey", "beacon", &bytes);
            for (what, position) in [
                ("sections", 8),
                ("length", 16),
                ("wires", 110),
                ("point", 200),
            ] {
                let mut changed = bytes.clone();
                changed[position] ^= 0x55;
                seeds.add("zkey", &format!("other-{what}"), changed);
            }
        }
    }
    let ptau = ptau(2);
    seeds.spoilt("ptau", "of-four", &ptau);
    for (what, position) in [("version", 4), ("prime", 30), ("power", 60), ("length", 70)] {
        let mut changed = ptau.clone();
        changed[position] ^= 0x15;
        seeds.add("ptau", &format!("other-{what}"), changed);
    }
}

/// The layout of a file of phase 1 without contributions, all points at the identity.
fn ptau(power: u32) -> Vec<u8> {
    let mut out = b"ptau".to_vec();
    let word = |out: &mut Vec<u8>, word: u32| out.extend(word.to_le_bytes());
    word(&mut out, 1);
    word(&mut out, 7);
    let n = 1_usize << power;
    let mut header = Vec::new();
    word(&mut header, 32);
    header.extend(Fq::MODULUS.to_bytes_le());
    word(&mut header, power);
    word(&mut header, power);
    let points = |count: usize| vec![0; 64 * count];
    let sections = [
        header,
        points(2 * n - 1),
        points(2 * n),
        points(n),
        points(n),
        points(2),
        vec![0; 4],
    ];
    for (id, section) in (1..).zip(sections) {
        word(&mut out, id);
        out.extend((section.len() as u64).to_le_bytes());
        out.extend(section);
    }
    out
}
