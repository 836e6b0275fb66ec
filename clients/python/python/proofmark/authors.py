"""What a model's author does: import (and quantize), inspect, setup, prove."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from . import _core, _runtime
from ._inputs import float32, request
from .client import new_nonce
from .errors import ProofmarkError, asked, refuse
from .package import UNSET, PinnedPackage, Unset
from .verdict import Accepted, Context, Visibility

__all__ = [
    "PackageFolder",
    "Proof",
    "Prover",
    "Samples",
    "import_model",
    "inspect",
    "setup",
]

Samples = npt.ArrayLike | Mapping[str, npt.ArrayLike]
"""Samples of the model's only input, or of each input by name: numbers, the first dimension counts the
samples. They become float32."""
Reference = Literal["disabled", "basic", "extended", "all"]
Backend = Literal["auto", "plain", "lookup"]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PackageFolder:
    """A draft, or the package that it was sealed as."""

    folder: Path
    digest: str
    """Of a package: publish it, it is what verifiers pin. A draft's changes when it is sealed."""
    manifest: Mapping[str, Any]
    """The manifest: ``inputs``, ``outputs``, ``validation``, and of a package ``sealed``."""

    @property
    def sealed(self) -> bool:
        """Whether it is a package."""
        return self.manifest.get("sealed") is not None

    def pin(self) -> PinnedPackage:
        """The package as its recipients open it."""
        return PinnedPackage.open(self.folder, self.digest)


def import_model(
    model: str | PathLike[str],
    *,
    name: str,
    out: str | PathLike[str],
    calibration: Samples | None = None,
    heldout: Samples | tuple[Samples, npt.ArrayLike] | None = None,
    labels: Sequence[str] = (),
    visibility: Mapping[str, Visibility] | None = None,
    version: str = "1",
    description: str = "",
    licence: str = "",
    reference: Reference = "all",
    accept_drift: float | None = None,
) -> PackageFolder:
    """Quantizes a float ONNX model, or brings a quantized one into canonical form, and writes a draft.

    Both models are compared; the draft's ``manifest["validation"]`` says how far they agree.

    :param model: the ONNX file.
    :param name: of the package: lower-case letters, digits, dots, hyphens and underscores, at most 64.
    :param out: folder for the draft; new or empty.
    :param calibration: some hundred typical inputs, from the training data, that the ranges of a float
        model are taken from.
    :param heldout: inputs that both models are compared on, or those and their labels, integers of shape
        ``(samples,)``; by default the calibration samples.
    :param labels: class names, one for each index of the output's last dimension.
    :param visibility: of inputs and outputs by name; what is not named is public. It is part of the
        circuit and cannot be changed after :func:`setup`.
    :param reference: for a quantized model: the optimisation level of ONNX Runtime that it is compared at.
    :param accept_drift: for a quantized model: the share of output integers that may differ from the
        original's.
    :raises ProofmarkError: ``operators-unsupported`` and the like list every node in ``unsupported``.
    """
    given = {
        "name": name,
        "version": version,
        "description": description,
        "licence": licence,
        "labels": list(labels),
        "visibility": dict(visibility or {}),
        "reference": reference,
        "accept_drift": accept_drift,
    }
    compared: tuple[list[Any], list[int] | None] | None = None
    if isinstance(heldout, tuple):
        inputs, classes = heldout
        compared = rows(inputs), classes_of(classes)
    elif heldout is not None:
        compared = rows(heldout), None
    calibrating = [] if calibration is None else rows(calibration)
    return folder_of(
        worked(_core.import_model, Path(model), Path(out), json.dumps(given), calibrating, compared)
    )


def inspect(folder: str | PathLike[str]) -> dict[str, Any]:
    """What proving a draft's or package's model takes, before any setup.

    :returns: ``constraints``, ``proving_key_bytes``, ``estimated_proving_seconds_two_cores``,
        ``estimated_evm_gas``, …, for the backend that :func:`setup` would choose; ``backends`` for each;
        ``nodes``: what each node costs.
    """
    told: dict[str, Any] = json.loads(worked(_core.inspect, Path(folder)))
    return told


def setup(
    draft: str | PathLike[str] | PackageFolder,
    out: str | PathLike[str],
    backend: Backend = "auto",
) -> PackageFolder:
    """Makes the keys of a draft on this machine and seals it as a package, for ever.

    A *single-party* setup: your users trust you to have wiped its secret, as this does. Where they must
    not have to, run ``proofmark ceremony``.

    :param draft: its folder; it is not changed.
    :param out: folder for the package; new or empty.
    :param backend: ``plain`` proofs are what every Groth16 verifier takes, ``lookup`` proofs are faster to
        make for all but small models, ``auto`` predicts and chooses.
    """
    folder = draft.folder if isinstance(draft, PackageFolder) else Path(draft)
    return folder_of(worked(_core.setup, folder, Path(out), backend))


@dataclass(frozen=True, eq=False)
class Proof:
    """One inference that was run, proven and verified on this machine."""

    receipt: bytes
    """For whoever is to be convinced. It holds no value of a hidden tensor."""
    openings: bytes | None
    """Values and salts of hidden tensors; ``None`` where nothing is hidden. For you alone, and for whoever
    is to see them: without the salt a private commitment is opened by nobody."""
    verdict: Accepted
    """What its recipient finds, given the openings."""
    outputs: Mapping[str, npt.NDArray[Any]]
    """The integers of each output, hidden ones included."""
    seconds: Mapping[str, float]
    """What took how long: ``runtime``, ``witness``, ``proving``, ``receipt``."""


class Prover:
    """A sealed package, loaded and checked once, that proves on this machine: nothing leaves it.

    It may be used by several threads; a proof takes all cores.
    """

    def __init__(self, folder: str | PathLike[str], digest: str | None = None) -> None:
        """Loads a package and checks everything in it against everything.

        :param digest: refuse the package unless it has this one; leave it out for your own packages only.
        """
        self._core = worked(_core.Prover, Path(folder), digest)
        told = json.loads(self._core.package())
        self.digest: str = told["digest"]
        self.manifest: Mapping[str, Any] = MappingProxyType(told["manifest"])

    def prove(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        quantized: bool = False,
        context: Context | Unset = UNSET,
        key_folder: str | PathLike[str] | None = None,
    ) -> Proof:
        """Runs the model and proves what came out.

        :param inputs: as :meth:`Service.infer` takes them.
        :param quantized: as there.
        :param context: what the proof is bound to; by default a nonce that is drawn here.
        :param key_folder: folder of the signing key, made at first use; by default each receipt is signed
            by a key of its own.
        :raises ProofmarkError: ``engine-divergence`` where ONNX Runtime, evaluator and witness disagree.
        """
        bound = Context(nonce=new_nonce()) if isinstance(context, Unset) else context
        asking = json.dumps({"inputs": request(self.manifest, inputs, quantized)}, allow_nan=False)
        folder = None if key_folder is None else Path(key_folder)
        receipt, openings, text = worked(
            self._core.prove, asking, json.dumps(bound.wire()), folder
        )
        told = json.loads(text)
        verdict = Accepted.read(told)
        outputs = {name: one.values for name, one in verdict.outputs.items() if one.values is not None}
        seconds = MappingProxyType(told["seconds"])
        return Proof(receipt, openings or None, verdict, MappingProxyType(outputs), seconds)


def worked(question: Callable[..., T], *arguments: Any) -> T:
    """Asks the core what takes ONNX Runtime."""
    _runtime.locate()
    try:
        return asked(question, *arguments)
    except ProofmarkError as error:
        if error.code == "runtime-library-missing":
            error.hint = f"pip install onnxruntime=={_runtime.VERSION}"
        raise


def folder_of(text: str) -> PackageFolder:
    """Out of the core's words."""
    told = json.loads(text)
    return PackageFolder(Path(told["folder"]), told["digest"], MappingProxyType(told["manifest"]))


def rows(samples: Samples) -> list[tuple[str | None, int, bytes]]:
    """Samples as the core takes them: name, how many, float32."""
    named: list[tuple[str | None, Any]]
    named = list(samples.items()) if isinstance(samples, Mapping) else [(None, samples)]
    given = []
    for name, values in named:
        array = np.asarray(values)
        if array.ndim == 0:
            raise refuse("samples-mismatch", f"input {name!r}: one number is no list of samples")
        floats = float32(name or "", array)
        given.append((name, array.shape[0], floats.tobytes()))
    return given


def classes_of(labels: npt.ArrayLike) -> list[int]:
    """Labels of samples: integers from 0."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and int(array.min()) < 0):
        raise refuse("samples-mismatch", "labels: they are no one-dimensional array of integers from 0")
    return [int(label) for label in array]
