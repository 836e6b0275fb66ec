"""A client of a Proofmark service that verifies before it answers."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Final, NoReturn, final
from urllib.parse import quote

import numpy.typing as npt

from . import _core
from ._http import Http
from ._inputs import request
from .errors import ProofmarkError, asked, refuse
from .package import UNSET, LogCopy, LogKeys, PinnedPackage, Unset, callable_copy, said
from .verdict import Accepted, Context, Tensor

__all__ = ["Inference", "Service", "fetch_package", "new_nonce"]

MAX_LOG_BYTES = 1 << 30
"""Most bytes of a log that are copied."""
AT_ONCE = 8
"""Files of a log that are fetched at the same time."""
ASK_AGAIN = 0.5
"""Seconds between two questions for a cosigned proof."""
_MINTED: Final = object()


@final
class Inference:
    """An inference whose proof was verified.

    :meth:`Service.infer` is the only way to one. Everything in it is what the verified receipt says, not
    what the service told beside it, and stays as it is.
    """

    __slots__ = ("log_proof", "openings", "outputs", "receipt", "tensors", "verdict")

    verdict: Accepted
    """What was checked, what is proven and what is not."""
    outputs: Mapping[str, npt.NDArray[Any]]
    """The proven integers of each output: uint8, int8 or int32, of the shape that the manifest declares."""
    tensors: Mapping[str, Tensor]
    """The outputs with the manifest's readings of them: ``floats``, ``softmax``, ``labels``."""
    receipt: bytes
    """The receipt, byte for byte: keep it, it verifies for ever."""
    log_proof: str | None
    """The proof that the receipt is logged, to be kept beside it; ``None`` where no log was demanded."""
    openings: bytes | None
    """A file of openings, values and salts of hidden tensors; ``None`` where nothing is hidden. For you
    alone, and for whoever is to see them: without the salt a private commitment is opened by nobody."""

    def __init__(
        self,
        token: object,
        verdict: Accepted,
        receipt: bytes,
        log_proof: str | None,
        openings: bytes | None,
    ) -> None:
        if token is not _MINTED:
            raise TypeError("an inference is made by verifying an answer")
        outputs = {name: one.values for name, one in verdict.outputs.items() if one.values is not None}
        for name, value in (
            ("verdict", verdict),
            ("outputs", MappingProxyType(outputs)),
            ("tensors", verdict.outputs),
            ("receipt", receipt),
            ("log_proof", log_proof),
            ("openings", openings),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an inference stays as it was verified")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an inference stays as it was verified")

    def __reduce__(self) -> NoReturn:
        raise TypeError("keep the receipt, and verify it again where it is needed")

    def __repr__(self) -> str:
        return f"<Inference {self.verdict.receipt_id}>"

    def label(self, output: str) -> str | None:
        """The class of the first row of an output that the manifest reads as classes."""
        labels = self.tensors[output].labels
        return labels[0].label if labels else None


def fetch_package(
    url: str,
    name: str,
    digest: str,
    *,
    version: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    tls: ssl.SSLContext | None = None,
) -> PinnedPackage:
    """A model's package out of a service, held against the digest that you pin.

    :param digest: from a source that you trust, not from the service.
    :raises ProofmarkError: also when it is another package.
    """
    http = Http(url, headers=headers, timeout=timeout, tls=tls)
    model = f"/v1/models/{quote(name, safe='')}"
    query = "" if version is None else f"?version={quote(version, safe='')}"
    manifest = http.get(f"{model}/manifest{query}")
    return PinnedPackage(digest, manifest, http.get(f"{model}/verifying-key{query}"))


class Service:
    """A Proofmark service, and what its answers must show. Nothing that it says is believed without proof.

    It may be used by several threads.
    """

    def __init__(
        self,
        url: str,
        package: PinnedPackage,
        *,
        service_key: str | Unset = UNSET,
        log_key: str | Unset = UNSET,
        witnesses: Sequence[str] = (),
        quorum: int | Unset = UNSET,
        attestations: Sequence[str] | Unset = UNSET,
        auditor_keys: Sequence[str] | Unset = UNSET,
        headers: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        witness_timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Asks nobody yet.

        :param url: ``http://…`` or ``https://…``; redirections are not followed.
        :param package: the package that every answer must be of.
        :param service_key: Ed25519 public key that must have signed, ``0x`` and 64 hex digits.
        :param log_key: ``NAME+ID+KEY`` of the transparency log that must hold every receipt.
        :param witnesses: keys of witnesses that must have cosigned the log.
        :param quorum: how many of them; without it all.
        :param attestations: texts of auditors' attestations of the package.
        :param auditor_keys: keys of the auditors of whom each must have attested it.
        :param headers: sent with every request; a token, perhaps.
        :param timeout: seconds that one request may take in all, proving included.
        :param witness_timeout: seconds to wait for the witnesses.
        :param tls: how the service's certificate is checked; by default as Python does.
        """
        self.package: Final = package
        self._http = Http(url, headers=headers, timeout=timeout, tls=tls)
        self._demands = said(
            service_key=service_key,
            attestations=attestations if isinstance(attestations, Unset) else list(attestations),
            auditor_keys=auditor_keys if isinstance(auditor_keys, Unset) else list(auditor_keys),
        )
        self._log: LogKeys | None = None
        if not isinstance(log_key, Unset):
            self._log = LogKeys(key=log_key, witnesses=tuple(witnesses), quorum=quorum)
        elif witnesses or not isinstance(quorum, Unset):
            raise refuse("parameter-invalid", "log: witnesses are of a log, whose key is not given")
        self._witness_timeout = witness_timeout

    @property
    def url(self) -> str:
        """Its address."""
        return self._http.url

    def infer(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        quantized: bool = False,
        context: Context | Unset = UNSET,
        log_copy: LogCopy | Unset = UNSET,
        copy_may_be_older: bool = False,
        now: int | Unset = UNSET,
    ) -> Inference:
        """Asks for an inference and verifies the answer: its proof, that it is of these inputs and of this
        very request, and everything that was demanded of the service.

        :param inputs: an array for each input, of its shape (the first dimension may be left out where it
            is 1): numbers, which become float32, where the manifest has a quantizer, else integers.
        :param quantized: the arrays hold the integer model's own integers.
        :param context: what the proof is to be bound to; by default a nonce that is drawn here.
        :param log_copy: a copy of the log (:meth:`copy_log`): what it revokes is refused.
        :param copy_may_be_older: whether the copy may be older than the receipt.
        :param now: unix seconds; an answer whose deadline has passed is refused.
        :raises ProofmarkError: in place of any answer that is not proven.
        """
        copy = None if isinstance(log_copy, Unset) else callable_copy(log_copy)
        if copy is not None and self._log is None:
            raise refuse("parameter-invalid", "log: a copy of a log is given without its key")
        listed = request(self.package.manifest, inputs, quantized)
        bound = Context(nonce=new_nonce()) if isinstance(context, Unset) else context
        told = bound.wire()
        asking = {
            "parameters": {
                "nonce": told["nonce"],
                "chain_id": told["chainId"],
                "consumer": told["consumer"],
                "requester": told["requester"],
                "deadline": told["deadline"],
                "receipt": "inline",
            },
            "inputs": listed,
        }
        body = json.dumps(asking, allow_nan=False)
        name, version = quote(self.package.name, safe=""), quote(self.package.version, safe="")
        path = f"/v2/models/{name}/versions/{version}/infer"
        answer = self._http.send(path, body.encode())
        if answer.status != 200:
            raise answer.refusal()
        def judge(proof: str | None) -> str:
            demands = {**self._demands, **said(now=now), "context": told}
            if self._log is not None:
                more: dict[str, Any] = {} if proof is None else {"proof": proof}
                if copy_may_be_older:
                    more["copy_may_be_older"] = True
                demands["log"] = self._log.wire(**more)
            core = self.package._core
            return asked(core.verify_inference, body, answer.body, json.dumps(demands), copy)

        beside = Beside(answer.body)
        proof: str | None = None
        patience = time.monotonic() + self._witness_timeout
        while True:
            try:
                verdict = json.loads(judge(proof))
                break
            except ProofmarkError as error:
                # Witnesses cosign after the answer: the service is asked until it has a proof of it.
                if error.code != "tlog-witnesses-missing" or time.monotonic() >= patience:
                    raise
                time.sleep(ASK_AGAIN)
                proof = self._cosigned(beside.receipt_id) or proof
        receipt = verdict.pop("receipt").encode()
        accepted = Accepted.read(verdict)
        openings = opened(accepted, beside.salts)
        if openings is not None:
            asked(_core.verify_openings, receipt, openings)
        # Without a log's key the proof was looked at by nobody.
        logged = None if self._log is None else (proof or beside.log_proof)
        return Inference(_MINTED, accepted, receipt, logged, openings)

    def _cosigned(self, receipt_id: str) -> str | None:
        path = f"/v1/receipts/{quote(receipt_id, safe='')}/tlog-proof?head=cosigned"
        reply = self._http.send(path)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise reply.refusal()
        return reply.body.decode("utf-8", "replace")

    def copy_log(self) -> LogCopy:
        """A copy of the service's log as it is now, to be held against ``log_key``."""
        files: dict[str, bytes] = {}

        def fetch(path: str) -> bool:
            reply = self._http.send(f"/{path}")
            if reply.status == 404:
                return False
            if reply.status != 200:
                raise reply.refusal()
            files[path] = reply.body
            if sum(map(len, list(files.values()))) > MAX_LOG_BYTES:
                detail = f"the log is longer than {MAX_LOG_BYTES} bytes: mirror it instead"
                raise ProofmarkError("rejected", "answer-malformed", detail)
            return True

        def fetch_tile(path: str) -> None:
            # The log may have grown since: the full tile takes the place of a partial one.
            if not fetch(path) and (whole := re.sub(r"\.p/\d+\Z", "", path)) != path:
                fetch(whole)

        paths: set[str] = set()
        for name in ("checkpoint", "checkpoint.cosigned"):
            # Its size is believed by nobody before its signature is checked.
            if fetch(name) and (size := re.match(rb"[^\n]*\n(\d{1,18})\n", files[name])):
                paths.update(_core.log_files(int(size[1])))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            drain(pool.map(fetch_tile, sorted(paths)))
        return files.get


def opened(verdict: Accepted, salts: Mapping[str, str]) -> bytes | None:
    """A file of openings of the hidden tensors, as ``proofmark infer`` writes it."""
    tensors = (*verdict.inputs.values(), *verdict.outputs.values())
    openings: list[dict[str, Any]] = [
        {
            "tensor": tensor.name,
            "elem": tensor.elem,
            "shape": tensor.shape,
            "values": tensor.values.ravel().tolist(),
            "salt": salts.get(tensor.name) if tensor.visibility == "private" else None,
        }
        for tensor in tensors
        if tensor.visibility != "public" and tensor.values is not None
    ]
    if not openings:
        return None
    return json.dumps({"format": "proofmark/openings/v1", "openings": openings}).encode()


class Beside:
    """What an answer says beside its receipt, after which nothing is judged."""

    def __init__(self, body: bytes) -> None:
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            told = None
        told = told if isinstance(told, dict) else {}
        parameters, openings = told.get("parameters"), told.get("openings")
        identifier = parameters.get("receipt_id") if isinstance(parameters, dict) else None
        self.receipt_id = identifier if isinstance(identifier, str) else ""
        proof = told.get("tlog_proof")
        self.log_proof = proof if isinstance(proof, str) else None
        listed = openings if isinstance(openings, list) else []
        pairs = ((o.get("tensor"), o.get("salt")) for o in listed if isinstance(o, dict))
        self.salts = {t: s for t, s in pairs if isinstance(t, str) and isinstance(s, str)}


def new_nonce() -> str:
    """32 bytes from the operating system: ``0x`` and 64 hex digits."""
    return "0x" + secrets.token_hex(32)


def drain(results: Iterable[object]) -> None:
    """Raises what a worker raised."""
    for _ in results:
        pass
