"""Arrays as inputs of a request of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import refuse

OIP = {"uint8": "UINT8", "int8": "INT8", "int32": "INT32"}


def request(
    manifest: Mapping[str, Any], inputs: Mapping[str, npt.ArrayLike], quantized: bool
) -> list[dict[str, Any]]:
    """One member for each input of the manifest; refused before anybody is asked."""
    specs = {spec["name"]: spec for spec in manifest["inputs"]}
    for name in inputs:
        if name not in specs:
            known = ", ".join(specs)
            raise refuse("input-unknown", f"the model has no input {name!r}; it has {known}")
    for name in specs:
        if name not in inputs:
            raise refuse("input-missing", f"input {name!r}: it is missing")
    return [one(spec, np.asarray(inputs[name]), quantized) for name, spec in specs.items()]


def one(spec: Mapping[str, Any], array: npt.NDArray[Any], quantized: bool) -> dict[str, Any]:
    """An array of the input's shape; its first dimension may be left out where it is 1."""
    name, shape = spec["name"], tuple(spec["shape"])
    if array.shape != shape and not (shape[:1] == (1,) and array.shape == shape[1:]):
        detail = f"input {name!r}: its shape is {shape}, got {array.shape}"
        raise refuse("input-shape", detail)
    if spec.get("quantizer") is not None and not quantized:
        floats = float32(name, array)
        if not np.isfinite(floats).all():
            raise refuse("input-not-finite", f"input {name!r}: it holds what is no finite float32")
        datatype, data = "FP32", floats.ravel().tolist()
    else:
        datatype, data = OIP[spec["elem"]], integers(spec, array).ravel().tolist()
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data}


def float32(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Numbers as float32, rounded as every Proofmark tool does: through float64, half to even."""
    if array.dtype.kind not in "iuf":
        raise refuse("input-type", f"input {name!r}: it takes numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        wide = array if array.dtype.itemsize <= 8 and array.dtype.kind == "f" else array.astype("<f8")
        return wide.astype("<f4")


def integers(spec: Mapping[str, Any], array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The integers of the integer model, which must be of its range."""
    name, elem = spec["name"], spec["elem"]
    if array.dtype.kind not in "iu":
        raise refuse("input-type", f"input {name!r}: it takes integers of {elem}, got {array.dtype}")
    bounds = np.iinfo(elem)
    if array.size and (int(array.min()) < bounds.min or int(array.max()) > bounds.max):
        detail = f"input {name!r}: it holds what is no {elem}"
        raise refuse("tensor-value-out-of-range", detail)
    return array
