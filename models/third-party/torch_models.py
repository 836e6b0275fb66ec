"""Models of PyTorch users: quantized by PyTorch, written by `torch.onnx`.

* `fx`: FX graph mode quantization with fake quantization, the TorchScript exporter
  (`dynamo=False`): the exporter writes each fake quantization as `QuantizeLinear` and
  `DequantizeLinear`.
* `pt2e`: `torchao`'s export mode quantization for x86 or XNNPACK (as torchao has it for its own
  tests), the `torch.export` exporter (`dynamo=True`).
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.ao.quantization import get_default_qat_qconfig_mapping
from torch.ao.quantization.quantize_fx import fuse_fx, prepare_qat_fx
from torchao.quantization.pt2e import quantize_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer
from torchao.testing.pt2e import _xnnpack_quantizer as xnnpack

OPSET = 17


def exported(net: nn.Module, sample: np.ndarray, target: Path, dynamo: bool = False,
             opset: int = OPSET) -> None:
    """`torch.onnx.export` with batch 1."""
    torch.onnx.export(
        net, (torch.from_numpy(sample[None]),), str(target), input_names=["input"],
        output_names=["output"], opset_version=opset, dynamo=dynamo, external_data=False,
    )
    if dynamo:
        # Stack traces, with this machine's paths: no part of the model.
        model = onnx.load(target)
        for part in (*model.graph.node, *model.graph.value_info, *model.graph.input,
                     *model.graph.output, *model.graph.initializer, model.graph, model):
            part.ClearField("metadata_props")
        onnx.save(model, target)


def observe(net: nn.Module, samples: np.ndarray) -> None:
    """Lets observers see the calibration samples."""
    with torch.no_grad():
        for sample in samples:
            net(torch.from_numpy(sample[None]))


def fx(net: nn.Module, backend: str, fine_tune, samples: np.ndarray, target: Path) -> None:
    """FX graph mode with fake quantization for `backend` (`x86` or `qnnpack`).

    `fine_tune(net)` trains the prepared network a little. Batch normalisation is folded before, as
    an exporter would otherwise write it as float arithmetic behind each convolution. Version 0 of the settings: the exporter
    does not know the fused observers of version 1.
    """
    net = fuse_fx(copy.deepcopy(net).eval()).train()
    mapping = get_default_qat_qconfig_mapping(backend, version=0)
    prepared = prepare_qat_fx(net, mapping, (torch.from_numpy(samples[:2]),))
    fine_tune(prepared)
    prepared.eval()
    prepared.apply(torch.ao.quantization.disable_observer)
    exported(prepared, samples[0], target)


def pt2e(net: nn.Module, backend: str, samples: np.ndarray, target: Path) -> None:
    """Export mode, static, for `backend`: `x86` or `xnnpack`."""
    sample = (torch.from_numpy(samples[:1]),)
    program = torch.export.export(copy.deepcopy(net).eval(), sample).module()
    if backend == "x86":
        quantizer = x86_inductor_quantizer.X86InductorQuantizer()
        quantizer.set_global(x86_inductor_quantizer.get_default_x86_inductor_quantization_config())
    else:
        quantizer = xnnpack.XNNPACKQuantizer()
        quantizer.set_global(xnnpack.get_symmetric_quantization_config(is_per_channel=True))
    prepared = quantize_pt2e.prepare_pt2e(program, quantizer)
    observe(prepared, samples)
    converted = quantize_pt2e.convert_pt2e(prepared)
    exported(converted, samples[0], target, dynamo=True, opset=21)
