//! A sealed sample package, receipts of it, and audits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_audit::{Data, Finding, NoProgress, Report, Request, Status, audit};
use proofmark_engine::{BackendChoice, Engine, ProveRequest, Proven, seal};
use proofmark_package::Package;
use proofmark_quantizer::Samples;
use proofmark_types::manifest::{MANIFEST_FILE, ModelFile};
use proofmark_types::{Context, Digest, Envelope, IntTensor, Manifest, Receipt};
use tempfile::TempDir;

pub(crate) const MODEL: &str = "risk-classifier";
/// Seconds of the audits, and of the receipts.
pub(crate) const NOW: u64 = 1_790_000_000;

/// Checks of the transparency log, which these audits are not given.
pub(crate) const LOG: &[&str] = &[
    "log-signature",
    "log-consistency",
    "log-witnesses",
    "log-inclusion",
    "log-complete",
    "log-order",
    "log-revocations",
];

pub(crate) fn service_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name)
}

fn heldout() -> NpzReader<fs::File> {
    NpzReader::new(fs::File::open(model(MODEL).join("heldout.npz")).unwrap()).unwrap()
}

/// Held-out samples, one vector each.
pub(crate) fn samples() -> Vec<Vec<f32>> {
    let array: ArrayD<f32> = heldout().by_name::<OwnedRepr<f32>, IxDyn>("x").unwrap();
    let rows = array.outer_iter();
    rows.map(|row| row.iter().copied().collect()).collect()
}

pub(crate) fn labels() -> Vec<usize> {
    let array: ArrayD<i64> = heldout().by_name::<OwnedRepr<i64>, IxDyn>("y").unwrap();
    let labels = array.iter();
    labels
        .map(|&label| usize::try_from(label).unwrap())
        .collect()
}

/// A nonce for each number.
pub(crate) fn nonce(number: u64) -> [u8; 32] {
    *Digest::of(&number.to_le_bytes()).as_bytes()
}

/// A package in a folder of its own, and receipts.
pub(crate) struct Case {
    root: TempDir,
    pub(crate) digest: Digest,
    engine: Engine,
    samples: Vec<Vec<f32>>,
    pub(crate) request: Request,
}

impl Case {
    pub(crate) fn new(backend: BackendChoice) -> Self {
        Self::of(backend, |_| {})
    }

    /// Of a draft whose manifest is changed before it is sealed.
    pub(crate) fn of(backend: BackendChoice, change: impl FnOnce(&mut Manifest)) -> Self {
        let draft = tempfile::tempdir().unwrap();
        let draft = draft.path();
        for file in ["integer.onnx", "float.onnx"] {
            fs::copy(model(MODEL).join(file), draft.join(file)).unwrap();
        }
        let bytes = fs::read(model(MODEL).join(MANIFEST_FILE)).unwrap();
        let mut manifest = Manifest::parse(&bytes).unwrap();
        change(&mut manifest);
        fs::write(draft.join(MANIFEST_FILE), manifest.to_bytes().unwrap()).unwrap();
        Self::sealed(|out| seal(draft, out, backend, &NoProgress).unwrap())
    }

    /// Of a package that is sealed into the folder given.
    pub(crate) fn sealed(make: impl FnOnce(&Path) -> Package) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("package");
        let package = make(&folder);
        let receipts = root.path().join("receipts");
        fs::create_dir(&receipts).unwrap();
        let request = Request {
            package: folder.clone(),
            pinned: Some(package.digest()),
            signers: vec![service_key().verifying_key().to_bytes()],
            receipts: vec![receipts],
            openings: Vec::new(),
            not_before: None,
            phase1: None,
            contributions: Vec::new(),
            log: None,
            samples: 8,
            data: None,
            seed: [9; 32],
            now: NOW,
        };
        Self {
            digest: package.digest(),
            engine: Engine::load(&folder, None).unwrap(),
            samples: samples(),
            root,
            request,
        }
    }

    /// With the held-out samples as the auditor's data.
    pub(crate) fn with_data(mut self) -> Self {
        let input = self.manifest().inputs[0].name.clone();
        self.request.data = Some(Data {
            float_model: None,
            samples: Samples {
                inputs: [(input, samples())].into(),
                labels: Some(labels()),
            },
            max_loss: 0.05,
        });
        self
    }

    pub(crate) fn package(&self) -> PathBuf {
        self.request.package.clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let bytes = fs::read(self.package().join(MANIFEST_FILE)).unwrap();
        Manifest::parse(&bytes).unwrap()
    }

    /// Changes the manifest as its owner can: the package gets another digest.
    pub(crate) fn reseal(&mut self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        let bytes = manifest.to_bytes().unwrap();
        fs::write(self.package().join(MANIFEST_FILE), &bytes).unwrap();
        self.digest = Digest::of(&bytes);
    }

    /// Exchanges a file and gives its record for the manifest.
    pub(crate) fn exchange(&self, file: &str, bytes: &[u8]) -> ModelFile {
        fs::write(self.package().join(file), bytes).unwrap();
        proofmark_package::describe(file, bytes)
    }

    /// The integers of a held-out sample.
    pub(crate) fn input(&self, sample: usize) -> IntTensor {
        let spec = &self.engine.manifest().inputs[0];
        let quantizer = spec.quantizer.as_ref().unwrap();
        let values = &self.samples[sample % self.samples.len()];
        quantizer.quantize(values, &spec.shape, spec.elem).unwrap()
    }

    /// An honest proof, with the openings of what it hides.
    pub(crate) fn proven(&self, sample: usize, context: Context, proved_at: u64) -> Proven {
        let name = self.engine.manifest().inputs[0].name.clone();
        let request = ProveRequest {
            inputs: BTreeMap::from([(name, self.input(sample))]),
            context,
            proved_at,
        };
        self.engine.prove(&request, &service_key()).unwrap()
    }

    /// An honest receipt, changed before it is signed.
    pub(crate) fn receipt_with(
        &self,
        sample: usize,
        context: Context,
        proved_at: u64,
        change: impl FnOnce(&mut Receipt),
    ) -> Envelope {
        let proven = self.proven(sample, context, proved_at);
        let mut receipt = proven.envelope.receipt().clone();
        change(&mut receipt);
        Envelope::sign(receipt, &service_key()).unwrap()
    }

    /// An honest receipt of a held-out sample with a nonce of its own.
    pub(crate) fn receipt(&self, number: u64) -> Envelope {
        let sample = usize::try_from(number).unwrap();
        let context = Context::off_chain(nonce(number));
        self.receipt_with(sample, context, NOW - 86_400 * (number % 5), |_| {})
    }

    pub(crate) fn give(&self, name: &str, bytes: &[u8]) {
        fs::write(self.request.receipts[0].join(name), bytes).unwrap();
    }

    pub(crate) fn give_receipt(&self, name: &str, envelope: &Envelope) {
        self.give(name, &envelope.to_bytes().unwrap());
    }

    /// Gives honest receipts `0.json`, `1.json`, ….
    pub(crate) fn give_honest(&self, count: u64) {
        for number in 0..count {
            self.give_receipt(&format!("{number}.json"), &self.receipt(number));
        }
    }

    pub(crate) fn audit(&self) -> Report {
        audit(&self.request, &NoProgress).unwrap()
    }
}

pub(crate) fn reopen(folder: &Path) -> Package {
    Package::open(folder).unwrap()
}

#[track_caller]
pub(crate) fn finding<'r>(report: &'r Report, id: &str) -> &'r Finding {
    let mut found = report
        .findings
        .iter()
        .filter(|finding| finding.id.id() == id);
    let only = found.next().unwrap_or_else(|| panic!("no finding {id}"));
    assert!(found.next().is_none(), "{id} twice");
    only
}

/// Asserts that exactly these checks fail, and gives the findings in this order.
#[track_caller]
pub(crate) fn fails<'r, const N: usize>(report: &'r Report, ids: [&str; N]) -> [&'r Finding; N] {
    let failed: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.status == Status::Fail)
        .map(|finding| finding.id.id())
        .collect();
    let mut expected = ids.to_vec();
    expected.sort_by_key(|id| report.findings.iter().position(|f| f.id.id() == *id));
    assert_eq!(
        failed,
        expected,
        "{}",
        String::from_utf8_lossy(&report.to_json())
    );
    ids.map(|id| {
        let finding = finding(report, id);
        assert!(finding.meaning.len() > 40, "{}", finding.meaning);
        assert!(finding.remedy.is_some());
        finding
    })
}

/// Asserts that a finding names exactly these files, in any order.
#[track_caller]
pub(crate) fn blames(finding: &Finding, files: &[&str]) {
    let mut named: Vec<String> = finding
        .culprits
        .iter()
        .map(|culprit| {
            let name = Path::new(&culprit.source).file_name().unwrap();
            name.to_str().unwrap().to_owned()
        })
        .collect();
    named.sort();
    assert_eq!(named, files, "{finding:?}");
    assert_eq!(finding.culprits_total, files.len());
}
