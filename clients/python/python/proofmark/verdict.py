"""What a verification found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Accepted", "Context", "Label", "Tensor"]

Element = Literal["uint8", "int8", "int32"]
Visibility = Literal["public", "hashed", "private"]
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {name: np.dtype(name).newbyteorder("<") for name in ("uint8", "int8", "int32")}
)


@dataclass(frozen=True)
class Context:
    """What a proof is bound to. Off chain everything but the nonce is 0."""

    nonce: str
    """``0x`` and 64 hex digits, chosen by whoever asked."""
    chain_id: int = 0
    """EIP-155 chain id."""
    consumer: str = "0x" + 40 * "0"
    """Address of the contract that may consume the proof: ``0x`` and 40 hex digits."""
    requester: str = "0x" + 64 * "0"
    """Whoever asked, as the consumer identifies them: ``0x`` and 64 hex digits."""
    deadline: int = 0
    """Unix seconds after which the consumer refuses the proof; 0 for never."""

    def wire(self) -> dict[str, Any]:
        """As it stands in a receipt."""
        return {
            "chainId": f"0x{self.chain_id:064x}",
            "consumer": self.consumer,
            "requester": self.requester,
            "nonce": self.nonce,
            "deadline": self.deadline,
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Context:
        """Out of a verdict."""
        return cls(
            nonce=told["nonce"],
            chain_id=int(told["chainId"], 16),
            consumer=told["consumer"],
            requester=told["requester"],
            deadline=told["deadline"],
        )


@dataclass(frozen=True)
class Label:
    """The class of one row of an output."""

    index: int
    label: str


@dataclass(frozen=True, eq=False)
class Tensor:
    """An input or output of an accepted receipt."""

    name: str
    elem: Element
    shape: tuple[int, ...]
    visibility: Visibility
    values: npt.NDArray[Any] | None
    """The proven integers, of dtype ``elem`` and of ``shape``, read-only; ``None`` where the receipt shows
    a commitment that nobody opened."""
    commitment: str | None
    """Commitment to a hashed or private tensor: ``0x`` and 64 hex digits."""
    floats: npt.NDArray[np.float32] | None
    """The values in the model's own unit, float32 of ``shape``, where the manifest says how to read them.
    Recomputed here, no part of the proof."""
    softmax: npt.NDArray[np.float32] | None
    """Shares by softmax, float32 of ``shape``, where the manifest asks for them."""
    labels: tuple[Label, ...]
    """The class of each row, where the manifest reads the output as classes."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Tensor:
        """Out of a verdict."""
        shape = tuple(told["shape"])
        views = told.get("views") or {}

        def array(values: Sequence[float] | None, dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
            if values is None:
                return None
            # Over bytes, which nobody can write to.
            return np.frombuffer(np.asarray(values, dtype=dtype).tobytes(), dtype).reshape(shape)

        float32 = np.dtype("<f4")
        return cls(
            name=told["name"],
            elem=told["elem"],
            shape=shape,
            visibility=told["visibility"],
            values=array(told.get("values"), DTYPES[told["elem"]]),
            commitment=told.get("commitment"),
            floats=array(views.get("dequantize"), float32),
            softmax=array(views.get("softmax"), float32),
            labels=tuple(Label(one["index"], one["label"]) for one in views.get("class") or ()),
        )


@dataclass(frozen=True, eq=False)
class Accepted:
    """A receipt that proves what it says. There is no object for one that does not."""

    receipt_id: str
    """``sha256:`` and 64 hex digits, as all digests here."""
    statement_digest: str
    package_digest: str
    model: Mapping[str, str]
    """``name``, ``version`` and ``integer_model``, its digest."""
    circuit: str
    verifying_key: str
    setup: Literal["single-party", "ceremony"]
    """Whoever made ``single-party`` keys could forge."""
    context: Context
    signer: str
    """Ed25519 public key of the service: ``0x`` and 64 hex digits."""
    signer_pinned: bool
    """Whether a key of the service was demanded."""
    proved_at: int
    """Unix seconds; the signer's claim."""
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    opened: tuple[str, ...]
    """Names of tensors that were compared with values that you gave."""
    log: Mapping[str, Any] | None
    """The receipt's place in the transparency log, where one was demanded."""
    attestations: tuple[Mapping[str, Any], ...]
    """What the auditors whose keys were given attest."""
    checked: tuple[str, ...]
    """What was checked."""
    not_checked: tuple[str, ...]
    """What was not, because nobody asked."""
    proven: tuple[str, ...]
    """What is proven, in sentences."""
    not_proven: tuple[str, ...]
    """What is not proven, in sentences: show it."""
    proof: str
    """The proof, hex: what a contract takes."""
    public_inputs: tuple[str, ...]
    """Its public inputs, 32 bytes each, hex."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Accepted:
        """Out of a verdict's JSON."""
        return cls(
            receipt_id=told["receipt_id"],
            statement_digest=told["statement_digest"],
            package_digest=told["package_digest"],
            model=MappingProxyType(told["model"]),
            circuit=told["circuit"],
            verifying_key=told["verifying_key"],
            setup=told["setup"],
            context=Context.read(told["context"]),
            signer=told["signer"],
            signer_pinned=told["signature"]["status"] == "valid-pinned",
            proved_at=told["proved_at"],
            inputs=_by_name(told["inputs"]),
            outputs=_by_name(told["outputs"]),
            opened=tuple(told["opened"]),
            log=None if told["log"] is None else MappingProxyType(told["log"]),
            attestations=tuple(map(MappingProxyType, told["attestations"])),
            checked=tuple(told["checked"]),
            not_checked=tuple(told["not_checked"]),
            proven=tuple(told["proven"]),
            not_proven=tuple(told["not_proven"]),
            proof=told["proof"],
            public_inputs=tuple(told["public_inputs"]),
        )


def _by_name(tensors: Sequence[Mapping[str, Any]]) -> Mapping[str, Tensor]:
    return MappingProxyType({told["name"]: Tensor.read(told) for told in tensors})
