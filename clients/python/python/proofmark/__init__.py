"""Proven inference for Python: numpy in, verified answers out.

:class:`Service` asks a running service and gives nothing that it has not verified; :class:`PinnedPackage`
verifies receipts that are at hand; :func:`import_model`, :func:`setup` and :class:`Prover` are for a model's
author. All of it is the Rust code of the ``proofmark`` programs, with the same verdicts and codes. Whatever is
refused is raised as a :class:`ProofmarkError`.
"""

from .authors import PackageFolder, Proof, Prover, Samples, import_model, inspect, setup
from .client import Inference, Service, fetch_package, new_nonce
from .errors import Kind, ProofmarkError
from .package import (
    UNSET,
    LogCopy,
    LogKeys,
    Opened,
    PinnedPackage,
    Unset,
    compare_checkpoints,
    compare_history,
    verify_log_proof,
    verify_openings,
    verify_proof,
)
from .verdict import Accepted, Context, Label, Tensor

__all__ = [
    "UNSET",
    "Accepted",
    "Context",
    "Inference",
    "Kind",
    "Label",
    "LogCopy",
    "LogKeys",
    "Opened",
    "PackageFolder",
    "PinnedPackage",
    "Proof",
    "ProofmarkError",
    "Prover",
    "Samples",
    "Service",
    "Tensor",
    "Unset",
    "compare_checkpoints",
    "compare_history",
    "fetch_package",
    "import_model",
    "inspect",
    "new_nonce",
    "setup",
    "verify_log_proof",
    "verify_openings",
    "verify_proof",
]
