#!/usr/bin/env python3
"""Runs what `PROOFMARK_DUMP=FOLDER` wrote in the onnxruntime of the Python at hand, which may be one
of another processor family, and compares every output.

    PROOFMARK_DUMP=/tmp/dump cargo test --package proofmark-tests --test emulation -- --test-threads=1
    python tests/emulation/replay.py /tmp/dump
"""

import pathlib
import platform
import sys

import numpy as np
import onnxruntime as ort

TYPES = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int32)": np.int32}


def main():
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    models, compared, different = 0, 0, 0
    for place in sorted(pathlib.Path(sys.argv[1]).iterdir(), key=lambda p: int(p.name)):
        session = ort.InferenceSession(
            str(place / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        feeds = {
            spec.name: np.load(place / f"in_{at}.npy").astype(TYPES[spec.type])
            for at, spec in enumerate(session.get_inputs())
        }
        for at, got in enumerate(session.run(None, feeds)):
            wanted = np.load(place / f"out_{at}.npy")
            if wanted.shape != got.shape:
                sys.exit(f"{place}: output {at} has shape {got.shape}, not {wanted.shape}")
            compared += wanted.size
            different += int((wanted != got).sum())
        models += 1
    print(
        f"onnxruntime {ort.__version__} on {platform.machine()}: "
        f"{models} runs, {compared} outputs, {different} different"
    )
    if different or not compared:
        sys.exit(1)


if __name__ == "__main__":
    main()
