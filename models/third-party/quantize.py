"""Quantizes two of the float models with ONNX Runtime's own static quantizer (QOperator format).

These are the models that other people bring: nothing here is written by Proofmark's quantizer.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_train"))
import common

MODELS = {"mlp": "digits-mlp", "lenet": "lenet5-mnist"}
# File name suffix -> (type of the weights, one scale per output channel).
KINDS = {
    "qop-u8u8": (QuantType.QUInt8, False),
    "qop-u8u8-perchannel": (QuantType.QUInt8, True),
    "qop-u8s8": (QuantType.QInt8, False),
    "qop-u8s8-perchannel": (QuantType.QInt8, True),
}


class Samples(CalibrationDataReader):
    """The calibration samples of a model folder, one at a time."""

    def __init__(self, folder: Path, input_name: str):
        samples = np.load(folder / "calibration.npz")["x"].astype(np.float32)
        self.feeds = iter([{input_name: sample[None]} for sample in samples])

    def get_next(self):
        return next(self.feeds, None)


def main() -> None:
    here = Path(__file__).resolve().parent
    for short, name in MODELS.items():
        folder = common.MODELS / name
        heldout = np.load(folder / "heldout.npz")
        model = onnx.load(folder / "float.onnx")
        # The quantizer infers shapes itself and does not expect to find any.
        del model.graph.value_info[:]
        for suffix, (weights, per_channel) in KINDS.items():
            target = here / f"{short}-{suffix}.onnx"
            with tempfile.TemporaryDirectory() as scratch:
                source = Path(scratch) / "float.onnx"
                onnx.save(model, source)
                quantize_static(
                    source, target, Samples(folder, model.graph.input[0].name),
                    quant_format=QuantFormat.QOperator,
                    activation_type=QuantType.QUInt8,
                    weight_type=weights,
                    per_channel=per_channel,
                    calibrate_method=CalibrationMethod.MinMax,
                )
            onnx.checker.check_model(target, full_check=True)
            quantized = onnx.load(target)
            operators = Counter(node.op_type for node in quantized.graph.node)
            print(f"{target.name}: {target.stat().st_size} bytes, "
                  f"accuracy {common.accuracy(target, heldout['x'], heldout['y']):.4f}, "
                  f"{dict(operators)}")


if __name__ == "__main__":
    main()
