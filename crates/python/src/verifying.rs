//! The recipient's check.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what Python hands over is given as a value"
)]

use proofmark_recipient::{
    Verdict, answer, answer_checkpoints, answer_history, answer_inference, answer_log_proof,
    answer_opening, answer_proof, open_pinned,
};
use proofmark_tlog::tile::tiles_of;
use proofmark_tlog::{ReadError, Tiles};
use proofmark_verifier::TrustedPackage;
use pyo3::{Py, PyAny, PyResult, Python, pyclass, pyfunction, pymethods};

use crate::{asked, settled};

/// Most paths of a log that are listed.
const MAX_PATHS: usize = 1 << 16;

/// A copy of a log: a function in Python that gives the bytes at a path, `None` where there is
/// nothing, and raises when it cannot tell.
struct Copy<'a>(&'a Py<PyAny>);

impl Tiles for Copy<'_> {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let read: PyResult<Option<Vec<u8>>> =
            Python::attach(|py| self.0.call1(py, (path,))?.extract(py));
        match read {
            Ok(Some(bytes)) if bytes.len() > limit => Err(ReadError {
                reason: format!("it is longer than {limit} bytes"),
            }),
            Ok(read) => Ok(read),
            Err(_) => Err(ReadError {
                reason: "the copy of the log cannot give it".to_owned(),
            }),
        }
    }
}

/// Judges with the copy that is at hand.
fn judged(
    py: Python<'_>,
    copy: Option<&Py<PyAny>>,
    judge: impl FnOnce(Option<&dyn Tiles>) -> Verdict + Send,
) -> PyResult<String> {
    asked(py, || {
        let copy = copy.map(Copy);
        settled(&judge(copy.as_ref().map(|copy| copy as &dyn Tiles)))
    })
}

/// A package that its digest pins, checked once for any number of receipts.
#[pyclass(frozen, module = "proofmark._core")]
pub(crate) struct Package(TrustedPackage);

#[pymethods]
impl Package {
    /// Checks that the manifest is the pinned one and the verifying key the manifest's.
    #[new]
    fn new(py: Python<'_>, digest: &str, manifest: &[u8], verifying_key: &[u8]) -> PyResult<Self> {
        asked(py, || {
            open_pinned(digest, manifest, verifying_key)
                .map(Self)
                .map_err(|refusal| Verdict::refused(&refusal).json().to_string())
        })
    }

    /// Verifies a receipt; `demands` is the JSON object of `proofmark_recipient::answer`.
    fn verify(
        &self,
        py: Python<'_>,
        receipt: &[u8],
        demands: &str,
        copy: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        judged(py, copy.as_ref(), |copy| {
            answer(&self.0, receipt, demands, copy)
        })
    }

    /// Verifies a service's answer to the inference request with this body.
    fn verify_inference(
        &self,
        py: Python<'_>,
        request: &str,
        body: &[u8],
        demands: &str,
        copy: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        judged(py, copy.as_ref(), |copy| {
            answer_inference(&self.0, request, body, demands, copy)
        })
    }
}

/// Compares a file of openings with the commitments of a receipt.
#[pyfunction]
pub(crate) fn verify_openings(py: Python<'_>, receipt: &[u8], openings: &[u8]) -> PyResult<String> {
    asked(py, || settled(&answer_opening(receipt, openings)))
}

/// Verifies a proof alone under a key that is pinned by its digest.
#[pyfunction]
pub(crate) fn verify_proof(
    py: Python<'_>,
    verifying_key: &[u8],
    question: &str,
) -> PyResult<String> {
    asked(py, || settled(&answer_proof(verifying_key, question)))
}

/// Checks that a `.tlog-proof` shows a receipt in a log.
#[pyfunction]
pub(crate) fn verify_log_proof(py: Python<'_>, receipt: &[u8], question: &str) -> PyResult<String> {
    asked(py, || settled(&answer_log_proof(receipt, question)))
}

/// Compares two checkpoints of a log by a consistency proof.
#[pyfunction]
pub(crate) fn compare_checkpoints(py: Python<'_>, question: &str) -> PyResult<String> {
    asked(py, || settled(&answer_checkpoints(question)))
}

/// Compares a checkpoint that was kept with a copy of the log as it is.
#[pyfunction]
pub(crate) fn compare_history(py: Python<'_>, question: &str, copy: Py<PyAny>) -> PyResult<String> {
    asked(py, || settled(&answer_history(question, &Copy(&copy))))
}

/// The files that a log of this many entries consists of beside its checkpoint; nothing where they are
/// more than can be read at once.
#[pyfunction]
pub(crate) fn log_files(size: u64) -> Vec<String> {
    let paths: Vec<String> = tiles_of(size)
        .take(MAX_PATHS + 1)
        .map(|path| path.to_string())
        .collect();
    if paths.len() > MAX_PATHS {
        Vec::new()
    } else {
        paths
    }
}
