#!/usr/bin/env python3
"""Writes the ONNX project's backend node cases as one archive, `cases.zip`.

    python -m venv env && env/bin/pip install onnx==1.23.2 numpy==2.4.6
    env/bin/python tests/node_cases/collect.py [--check | OUT]

The archive holds one stored (not compressed) archive, whose bytes do not depend on the compression
library: its SHA-256 is printed, and pinned in `archive.rs`. Inside, in the order of the names:

    NAME.onnx          the model of a case
    NAME/in_I.npy      its I-th graph input
    NAME/out_I.npy     its I-th graph output

Data is written in full for a case that has an 8-bit input or that quantizes, else for inputs of at
most 64 elements, which are its parameters. Element types are those that the runtime's sessions here
feed or that an initializer may have: float32, int8, uint8, int32, int64, bool.

`--check` makes the archive again and compares it with the committed one.
"""

import hashlib
import io
import pathlib
import sys
import warnings
import zipfile

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

VERSION = "1.23.2"
COUNT = 1884
PARAMETER = 64
TYPES = {np.dtype(t) for t in ("float32", "int8", "uint8", "int32", "int64", "bool")}
EPOCH = (1980, 1, 1, 0, 0, 0)


def array(value):
    """A case's value as an array of a kept type; None for a sequence, a string, a small float."""
    if isinstance(value, (list, type(None), onnx.TensorProto)):
        return None
    value = np.asarray(value)
    return value if value.dtype in TYPES else None


def in_full(case):
    """Whether all data of the case is kept."""
    eight = (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
    inputs = [i.type.tensor_type.elem_type for i in case.model.graph.input]
    words = ("uantizeLinear", "QLinear", "Integer")
    quantizes = any(w in n.op_type for n in case.model.graph.node for w in words)
    return quantizes or any(t in eight for t in inputs)


def members(case):
    """Names and bytes of a case's files."""
    yield f"{case.name}.onnx", case.model.SerializeToString(deterministic=True)
    (inputs, outputs), full = case.data_sets[0], in_full(case)
    for stem, values in (("in", inputs), ("out", outputs if full else [])):
        for index, value in enumerate(values):
            value = array(value)
            if value is None or not (full or value.size <= PARAMETER):
                continue
            data = io.BytesIO()
            np.lib.format.write_array(data, np.array(value, order="C"), (1, 0), allow_pickle=False)
            yield f"{case.name}/{stem}_{index}.npy", data.getvalue()


def archive(files, method):
    """A zip archive whose bytes depend on the files alone."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = method
            info.create_system = 3
            archive.writestr(info, data, compresslevel=9)
    return out.getvalue()


def main():
    if onnx.__version__ != VERSION:
        sys.exit(f"onnx {onnx.__version__} is installed; the cases are those of {VERSION}")
    warnings.simplefilter("ignore")
    cases = sorted(collect_testcases(None), key=lambda case: case.name)
    names = {case.name for case in cases}
    if len(cases) != COUNT or len(names) != COUNT:
        sys.exit(f"{len(cases)} cases with {len(names)} names; {COUNT} are expected")
    if any(len(case.data_sets) != 1 for case in cases):
        sys.exit("a case has not exactly one data set")
    stored = archive([m for case in cases for m in members(case)], zipfile.ZIP_STORED)
    digest = hashlib.sha256(stored).hexdigest()
    committed = pathlib.Path(__file__).with_name("cases.zip")
    if sys.argv[1:] == ["--check"]:
        with zipfile.ZipFile(committed) as old:
            if old.read("cases.stored.zip") != stored:
                sys.exit(f"{committed} differs from what onnx {VERSION} makes now ({digest})")
    else:
        out = pathlib.Path(sys.argv[1]) if sys.argv[1:] else committed
        out.write_bytes(archive([("cases.stored.zip", stored)], zipfile.ZIP_DEFLATED))
    print(f"{len(cases)} cases of onnx {VERSION}, SHA-256 of cases.stored.zip {digest}")


if __name__ == "__main__":
    main()
