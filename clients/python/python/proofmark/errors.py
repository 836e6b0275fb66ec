"""What is raised instead of an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from . import _core

__all__ = ["Kind", "ProofmarkError"]

Kind = Literal["rejected", "request", "environment"]
"""Whom a refusal speaks of: what was given, the question, or the circumstances."""

T = TypeVar("T")


class ProofmarkError(Exception):
    """A receipt, an answer, a model or a question that was refused. Nothing of what was refused is in it.

    The codes are those of every other Proofmark tool (``docs/reference/errors.md``).
    """

    code: str
    """Stable kebab-case code."""
    kind: Kind
    """``rejected``: what was given does not hold; ``request``: the question makes no sense;
    ``environment``: something could not be read or reached, and nothing was judged."""
    detail: str
    """What happened."""
    hint: str | None
    """What to do about it; where it names an option ``--like-this``, the parameter is ``like_this``."""
    status: int | None
    """HTTP status, when a service refused."""
    unsupported: list[dict[str, str]]
    """Every node of a model that cannot be proven (``node``, ``op_type``, ``reason``, ``remedy``)."""

    def __init__(
        self,
        kind: Kind,
        code: str,
        detail: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        unsupported: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(f"{detail} [{code}]" if hint is None else f"{detail} [{code}]; {hint}")
        self.kind = kind
        self.code = code
        self.detail = detail
        self.hint = hint
        self.status = status
        self.unsupported = unsupported or []

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.kind, self.code, self.detail, self.hint, self.status, self.unsupported)


def _again(
    kind: Kind,
    code: str,
    detail: str,
    hint: str | None,
    status: int | None,
    unsupported: list[dict[str, str]],
) -> ProofmarkError:
    return ProofmarkError(kind, code, detail, hint=hint, status=status, unsupported=unsupported)


def refuse(code: str, detail: str, *, hint: str | None = None) -> ProofmarkError:
    """A question that makes no sense."""
    return ProofmarkError("request", code, detail, hint=hint)


def asked(question: Callable[..., T], *arguments: Any) -> T:
    """Asks the core; its refusals are raised as :class:`ProofmarkError`."""
    try:
        return question(*arguments)
    except _core.Refused as refusal:
        told = json.loads(refusal.args[0])
        raise ProofmarkError(
            told["kind"],
            told["code"],
            told["detail"],
            hint=told.get("hint"),
            unsupported=told.get("unsupported"),
        ) from None
