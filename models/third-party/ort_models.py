"""Models of `onnxruntime.quantization`, the static quantizer."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)


@dataclass(frozen=True)
class Kind:
    """What the quantizer is asked for; types as in `u8s8` (activations, weights)."""

    form: str
    types: str
    per_channel: bool = False
    symmetric: bool = False
    percentile: bool = False

    @property
    def suffix(self) -> str:
        """The end of the file's name."""
        words = [self.form, self.types]
        words += ["perchannel"] * self.per_channel + ["symmetric"] * self.symmetric
        return "-".join(words)


class Samples(CalibrationDataReader):
    """Calibration samples, one at a time."""

    def __init__(self, samples: np.ndarray, input_name: str):
        self.feeds = iter([{input_name: sample[None]} for sample in samples])

    def get_next(self):
        return next(self.feeds, None)


def prepared(source: Path, target: Path) -> None:
    """ONNX Runtime's own preparation: constants and batch normalisation folded, shapes inferred."""
    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)


def quantize(source: Path, samples: np.ndarray, kind: Kind, target: Path) -> None:
    """Quantizes a float model file as its user would."""
    kinds = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
    model = onnx.load(source)
    input_name = model.graph.input[0].name
    # The quantizer infers shapes itself and does not expect to find any.
    del model.graph.value_info[:]
    extra = {"ActivationSymmetric": True, "WeightSymmetric": True} if kind.symmetric else {}
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "float.onnx"
        onnx.save(model, plain)
        quantize_static(
            plain, target, Samples(samples, input_name),
            quant_format=QuantFormat.QDQ if kind.form == "qdq" else QuantFormat.QOperator,
            activation_type=kinds[kind.types[:2]],
            weight_type=kinds[kind.types[2:]],
            per_channel=kind.per_channel,
            calibrate_method=CalibrationMethod.Percentile if kind.percentile
            else CalibrationMethod.MinMax,
            extra_options=extra,
        )
