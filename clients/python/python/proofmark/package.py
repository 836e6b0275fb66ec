"""A package that you pin, and what its receipts are held to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

from . import _core
from .errors import asked, refuse
from .verdict import Accepted, Context, Tensor

__all__ = [
    "UNSET",
    "LogCopy",
    "LogKeys",
    "Opened",
    "PinnedPackage",
    "Unset",
    "compare_checkpoints",
    "compare_history",
    "verify_log_proof",
    "verify_openings",
    "verify_proof",
]

LogCopy = Callable[[str], bytes | None]
"""A copy of a log's static files: the bytes at a path such as ``checkpoint``, ``None`` where there is
nothing; it raises when it cannot tell."""


@final
class Unset:
    """The type of :data:`UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()
"""Not demanded. ``None`` is no way to say so: a demand that got lost on its way here is refused."""


@dataclass(frozen=True, kw_only=True)
class LogKeys:
    """Whose word on a transparency log is taken."""

    key: str
    """``NAME+ID+KEY``, from a source that you trust."""
    witnesses: Sequence[str] = field(default=())
    """Keys of witnesses in the same form."""
    quorum: int | Unset = UNSET
    """How many of the witnesses must have cosigned; without it all."""

    def wire(self, **more: Any) -> dict[str, Any]:
        """As the core reads it."""
        keys = {"key": self.key, "witnesses": list(self.witnesses), "quorum": self.quorum}
        return said(**keys, **more)


def said(**members: Any) -> dict[str, Any]:
    """The members that are not :data:`UNSET`."""
    return {name: value for name, value in members.items() if value is not UNSET}


class PinnedPackage:
    """A package that you pin: its digest from a source that you trust, the rest from anywhere.

    It verifies any number of receipts, from any number of threads.
    """

    digest: Final[str]
    """``sha256:`` and 64 hex digits."""
    manifest: Final[Mapping[str, Any]]
    """The manifest, parsed."""

    def __init__(self, digest: str, manifest: bytes, verifying_key: bytes) -> None:
        """Checks that the manifest is the pinned one and the key the manifest's.

        :param digest: of the package.
        :param manifest: ``manifest.json``, byte for byte.
        :param verifying_key: ``verifying_key.bin``.
        :raises ProofmarkError: ``package-not-pinned``, ``verifying-key-mismatch``, …
        """
        self._core = asked(_core.Package, digest, manifest, verifying_key)
        self.digest = digest
        self.manifest = MappingProxyType(json.loads(manifest))

    @classmethod
    def open(cls, folder: str | PathLike[str], digest: str) -> PinnedPackage:
        """Opens a package's folder, of which the public part is enough."""
        files = Path(folder)
        manifest = (files / "manifest.json").read_bytes()
        return cls(digest, manifest, (files / "verifying_key.bin").read_bytes())

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """Version of the model."""
        return str(self.manifest["version"])

    def verify(
        self,
        receipt: bytes,
        *,
        nonce: str | Unset = UNSET,
        context: Context | Unset = UNSET,
        service_key: str | Unset = UNSET,
        openings: bytes | Unset = UNSET,
        log: LogKeys | Unset = UNSET,
        log_proof: str | Unset = UNSET,
        log_copy: LogCopy | Unset = UNSET,
        copy_may_be_older: bool = False,
        attestations: Sequence[str] | Unset = UNSET,
        auditor_keys: Sequence[str] | Unset = UNSET,
        now: int | Unset = UNSET,
    ) -> Accepted:
        """Verifies a receipt whole. What is not given is not demanded, and ``not_checked`` says so.

        :param receipt: byte for byte as the service gave it.
        :param nonce: ``0x`` and 64 hex digits that the proof must have been made for.
        :param context: what it must be bound to, whole.
        :param service_key: Ed25519 public key of the service that must have signed, ``0x`` and 64 hex
            digits.
        :param openings: a file of openings, whose values hidden tensors are compared with.
        :param log: keys of the log that must hold the receipt; takes ``log_proof``, ``log_copy`` or both.
        :param log_proof: the text of a ``.tlog-proof``.
        :param log_copy: the log, or a mirror of it: what it revokes is refused. Needs ``service_key``.
        :param copy_may_be_older: whether the copy may be older than the receipt.
        :param attestations: texts of attestations of the package.
        :param auditor_keys: Ed25519 keys of the auditors of whom each must have attested it.
        :param now: unix seconds; a receipt whose deadline has passed is refused.
        :raises ProofmarkError: with the code of the first thing that does not hold.
        """
        more = said(proof=log_proof)
        if copy_may_be_older:
            more["copy_may_be_older"] = True
        # Without its keys a proof or a copy would be looked at by nobody: the core refuses the member.
        keys: Any = log.wire(**more) if isinstance(log, LogKeys) else (more or log)
        demands = said(
            nonce=nonce,
            context=context.wire() if isinstance(context, Context) else context,
            service_key=service_key,
            openings=parsed(openings),
            attestations=attestations if isinstance(attestations, Unset) else list(attestations),
            auditor_keys=auditor_keys if isinstance(auditor_keys, Unset) else list(auditor_keys),
            now=now,
            log=keys,
        )
        copy = None if isinstance(log_copy, Unset) else callable_copy(log_copy)
        told = asked(self._core.verify, receipt, json.dumps(demands), copy)
        return Accepted.read(json.loads(told))


def callable_copy(copy: LogCopy) -> LogCopy:
    """The copy itself, if it is one: what got lost on its way here must not look like none."""
    if not callable(copy):
        raise refuse("parameter-invalid", "log_copy: it is no function of a path")
    return copy


def parsed(openings: bytes | Unset) -> Any:
    """A file of openings as a part of the demands."""
    if isinstance(openings, Unset):
        return openings
    try:
        return json.loads(openings)
    except (ValueError, RecursionError, TypeError) as error:
        raise refuse("openings-malformed", f"the openings are no JSON: {error}") from None


@dataclass(frozen=True, eq=False)
class Opened:
    """Commitments of a receipt that were opened; neither its proof nor its package was looked at."""

    receipt_id: str
    package_digest: str
    tensors: Mapping[str, Tensor]
    closed: tuple[str, ...]
    """Names of hidden tensors that stay hidden."""
    not_proven: tuple[str, ...]


def verify_openings(receipt: bytes, openings: bytes) -> Opened:
    """Compares a file of openings with a receipt's commitments."""
    told = json.loads(asked(_core.verify_openings, receipt, openings))
    return Opened(
        receipt_id=told["receipt_id"],
        package_digest=told["package_digest"],
        tensors=MappingProxyType({one["name"]: Tensor.read(one) for one in told["tensors"]}),
        closed=tuple(told["closed"]),
        not_proven=tuple(told["not_proven"]),
    )


def verify_proof(
    verifying_key: bytes, *, verifying_key_digest: str, proof: str, public_inputs: Sequence[str]
) -> None:
    """Verifies a proof alone, under a key that you pin by its digest, for public inputs that you vouch for.

    :raises ProofmarkError: where it does not hold.
    """
    question = {
        "verifying_key_digest": verifying_key_digest,
        "proof": proof,
        "public_inputs": list(public_inputs),
    }
    asked(_core.verify_proof, verifying_key, json.dumps(question))


def verify_log_proof(receipt: bytes, log: LogKeys, proof: str) -> Mapping[str, Any]:
    """Checks that a ``.tlog-proof`` shows a receipt in a log; nothing else of the receipt is looked at.

    :returns: ``origin``, ``index``, ``size``, ``cosigned``, ``not_proven``.
    """
    question = json.dumps(log.wire(proof=proof))
    return MappingProxyType(json.loads(asked(_core.verify_log_proof, receipt, question)))


def compare_checkpoints(
    log: LogKeys, *, older: str, newer: str, proof: Sequence[str]
) -> Mapping[str, Any]:
    """Compares two checkpoints of a log by a consistency proof, a list of hashes in base64.

    :returns: ``origin``, ``older`` and ``newer`` (``size``, ``root``), ``cosigned``.
    """
    question = {"log": log.wire(), "older": older, "newer": newer, "proof": list(proof)}
    return MappingProxyType(json.loads(asked(_core.compare_checkpoints, json.dumps(question))))


def compare_history(log: LogKeys, *, older: str, copy: LogCopy) -> Mapping[str, Any]:
    """Compares a checkpoint that was kept with a log as it is now; answers as :func:`compare_checkpoints`."""
    question = json.dumps({"log": log.wire(), "older": older})
    return MappingProxyType(json.loads(asked(_core.compare_history, question, copy)))
