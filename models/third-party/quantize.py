"""Makes the models of this folder with the ecosystem's own tools: what other people bring.

Nothing here is written by Proofmark's quantizer. `quantize.py [--work DIR] [MODEL.onnx …]` makes
the named models, or all; trained networks are kept in DIR, so that one model can be made again.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import data
import nets
import numpy as np
import onnx
import onnxruntime
import ort_models
import torch
import torch_models
import train
from ort_models import Kind
from train import Recipe

SEED = 1

digits, mnist, animals, risk, masks, keywords = (
    functools.cache(task)
    for task in (data.digits, data.mnist, data.animals, data.risk, data.masks, data.keywords)
)

RECIPES = {
    "lenet": Recipe(nets.LeNet, mnist, 2),
    "mobilenet": Recipe(nets.MobileNet, animals, 25),
    "resnet8": Recipe(nets.ResNet8, animals, 20),
    "avgpool": Recipe(nets.AveragePools, mnist, 4),
    "mobilenetv3": Recipe(nets.MobileNetV3, animals, 25),
    "darknet": Recipe(nets.TinyDarknet, mnist, 3),
    "squeezenet": Recipe(nets.SqueezeNet, mnist, 4),
    "googlenet": Recipe(nets.GoogLeNet, animals, 20),
    "sigmoidtanh": Recipe(nets.SigmoidTanh, risk, 60, batch=32),
    "tcresnet": Recipe(nets.TcResNet, keywords, 15),
    "autoencoder": Recipe(nets.Autoencoder, mnist, 4, target="itself"),
    "unet": Recipe(nets.UNet, masks, 10, target="pixels"),
    "transformer": Recipe(nets.Transformer, digits, 100, batch=32, rate=2e-3),
}
# Float models that other folders have.
FOLDERS = {"mlp": "digits-mlp", "lenet5": "lenet5-mnist", "resnet": "resnet-animals"}

# ONNX Runtime refuses these above the basic level: PyTorch writes scales of shape [1], and the
# fusions into QLinearAdd and QLinearMul make nodes of them that its own shape inference does not take.
BASIC = {"mobilenetv3-torch-fx.onnx", "resnet8-torch-fx.onnx"}


@dataclass
class Made:
    """A model and what it is measured on."""

    task: data.Task
    target: str
    float_score: float


class Maker:
    """Makes models; `work` keeps what can be used again."""

    def __init__(self, work: Path):
        self.work = work
        self.scores: dict[Path, float] = {}

    @functools.cache
    def net(self, name: str) -> torch.nn.Module:
        """A trained network."""
        recipe, path = RECIPES[name], self.work / f"{name}.pt"
        torch.manual_seed(SEED)
        net = recipe.net().eval()
        if path.exists():
            net.load_state_dict(torch.load(path))
        else:
            train.fit(net, recipe, recipe.task())
            torch.save(net.state_dict(), path)
        return net

    def float_model(self, name: str) -> Path:
        """A float ONNX file: of another folder, or exported from a trained network."""
        if name in FOLDERS:
            return data.MODELS / FOLDERS[name] / "float.onnx"
        path = self.work / f"{name}-float.onnx"
        if not path.exists():
            torch_models.exported(self.net(name), RECIPES[name].task().heldout_x[0], path)
        return path

    def measured(self, path: Path, task: data.Task, target: str, unit: float = 1.0) -> float:
        """Score of an ONNX file in ONNX Runtime; `unit` times the task's inputs are given to it."""
        options = onnxruntime.SessionOptions()
        if path.name in BASIC:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        entry = session.get_inputs()[0]

        def run(x: np.ndarray) -> np.ndarray:
            x = x.reshape(entry.shape) * np.float32(unit)
            x = np.rint(x - 128).astype(np.int8) if entry.type == "tensor(int8)" else x
            return session.run(None, {entry.name: x})[0]

        return train.score(target, run, task)

    def float_score(self, path: Path, task: data.Task, target: str, unit: float = 1.0) -> float:
        """As `measured`, once a file."""
        if path not in self.scores:
            self.scores[path] = self.measured(path, task, target, unit)
        return self.scores[path]

    def static(self, name: str, kind: Kind, target: Path) -> Made:
        """ONNX Runtime's static quantizer on a network of `RECIPES`."""
        recipe, source = RECIPES[name], self.float_model(name)
        task = recipe.task()
        ready = self.work / f"{name}-prepared.onnx"
        ort_models.prepared(source, ready)
        ort_models.quantize(ready, task.calibration(), kind, target)
        return Made(task, recipe.target, self.float_score(source, task, recipe.target))

    def static_folder(self, name: str, kind: Kind, target: Path) -> Made:
        """ONNX Runtime's static quantizer on another folder's float model (raw inputs)."""
        folder = data.MODELS / FOLDERS[name]
        calibration = np.load(folder / "calibration.npz")["x"].astype(np.float32)
        x, y = data.heldout(f"{folder.name}/heldout.npz")
        task = data.Task(calibration, y[:0], x.astype(np.float32), y)
        source = self.float_model(name)
        ready = source
        if name == "resnet":
            ready = self.work / f"{name}-prepared.onnx"
            ort_models.prepared(source, ready)
        ort_models.quantize(ready, calibration, kind, target)
        return Made(task, "classes", self.float_score(source, task, "classes"))

    def fx(self, name: str, backend: str, target: Path) -> Made:
        """PyTorch: FX graph mode, a little training with fake quantization."""
        recipe = RECIPES[name]
        task = recipe.task()
        short = Recipe(recipe.net, recipe.task, 1, rate=2e-4, target=recipe.target)
        part = data.Task(task.x[:6000], task.y[:6000], task.heldout_x, task.heldout_y)
        torch_models.fx(self.net(name), backend, lambda net: train.fit(net, short, part),
                        task.calibration(), target)
        source = self.float_model(name)
        return Made(task, recipe.target, self.float_score(source, task, recipe.target))

    def pt2e(self, name: str, backend: str, target: Path) -> Made:
        """PyTorch: export mode."""
        recipe = RECIPES[name]
        task = recipe.task()
        torch_models.pt2e(self.net(name), backend, task.calibration(), target)
        source = self.float_model(name)
        return Made(task, recipe.target, self.float_score(source, task, recipe.target))

    def tensorflow(self, name: str, target: Path) -> Made:
        """TensorFlow; see `tensorflow_models`."""
        import tensorflow_models as tensorflow

        tensorflow.tf.keras.utils.set_random_seed(SEED)
        match name:
            case "dscnn":
                task, aim = keywords(), "classes"
                model, shape = tensorflow.ds_cnn(task), [25, 10, 1]
                samples = task.calibration()[..., None]
                tensorflow.tflite(model, shape, samples, True, target, self.work)
            case "autoencoder":
                task, aim = digits(), "itself"
                model, shape = tensorflow.dense_autoencoder(task), [64]
                tensorflow.tflite(model, shape, task.calibration(), False, target, self.work)
            case _:
                task, aim = mnist(), "classes"
                model, shape = tensorflow.trained_float(task), [28, 28, 1]
                quantized = tensorflow.trained_quantized(model, task)
                if name == "cnn":
                    tensorflow.keras(quantized, shape, target)
                else:
                    tensorflow.tflite(quantized, shape, None, False, target, self.work)
        run = lambda x: model(x.reshape(1, *shape), training=False).numpy()
        return Made(task, aim, train.score(aim, run, task))


def models(maker: Maker) -> dict[str, Callable[[Path], Made]]:
    """File name -> how the file is made."""
    made: dict[str, Callable[[Path], Made]] = {}
    for name in ("mlp", "lenet5"):
        for types in ("u8u8", "u8s8"):
            for per_channel in (False, True):
                kind = Kind("qop", types, per_channel)
                file = f"{name.removesuffix('5')}-{kind.suffix}.onnx"
                made[file] = functools.partial(maker.static_folder, name, kind)
    for kind in (Kind("qop", "u8s8", per_channel=True), Kind("qdq", "s8s8")):
        made[f"resnet-{kind.suffix}.onnx"] = functools.partial(maker.static_folder, "resnet", kind)
    static = {
        "mobilenet": [Kind("qop", "s8s8", per_channel=True), Kind("qdq", "u8u8")],
        "avgpool": [Kind("qop", "u8u8"), Kind("qdq", "u8s8", per_channel=True, percentile=True)],
        "darknet": [Kind("qop", "u8s8", per_channel=True), Kind("qdq", "s8s8", symmetric=True)],
        "squeezenet": [Kind("qop", "u8u8"), Kind("qdq", "u8s8")],
        "sigmoidtanh": [Kind("qop", "u8s8"), Kind("qdq", "s8s8", per_channel=True)],
        "tcresnet": [Kind("qop", "s8s8"), Kind("qdq", "u8s8", per_channel=True)],
        "autoencoder": [Kind("qdq", "u8s8")],
        "mobilenetv3": [Kind("qdq", "u8s8", per_channel=True)],
        "unet": [Kind("qop", "u8u8")],
        "transformer": [Kind("qop", "u8s8"), Kind("qdq", "s8s8", symmetric=True)],
    }
    for name, kinds in static.items():
        for kind in kinds:
            made[f"{name}-{kind.suffix}.onnx"] = functools.partial(maker.static, name, kind)
    made["lenet-torch-fx.onnx"] = functools.partial(maker.fx, "lenet", "x86")
    made["resnet8-torch-fx.onnx"] = functools.partial(maker.fx, "resnet8", "x86")
    made["mobilenetv3-torch-fx.onnx"] = functools.partial(maker.fx, "mobilenetv3", "qnnpack")
    made["unet-torch-fx.onnx"] = functools.partial(maker.fx, "unet", "qnnpack")
    made["lenet-torch-pt2e.onnx"] = functools.partial(maker.pt2e, "lenet", "x86")
    made["googlenet-torch-pt2e.onnx"] = functools.partial(maker.pt2e, "googlenet", "xnnpack")
    made["dscnn-tflite.onnx"] = functools.partial(maker.tensorflow, "dscnn")
    made["autoencoder-tflite.onnx"] = functools.partial(maker.tensorflow, "autoencoder")
    made["cnn-keras-qat.onnx"] = functools.partial(maker.tensorflow, "cnn")
    made["cnn-keras-qat-tflite.onnx"] = functools.partial(maker.tensorflow, "cnn-tflite")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="keeps trained networks (else they are dropped)")
    parser.add_argument("models", nargs="*", metavar="MODEL.onnx")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        maker = Maker(work)
        known = models(maker)
        unknown = set(arguments.models) - set(known)
        if unknown:
            sys.exit(f"unknown: {sorted(unknown)}; known: {sorted(known)}")
        for file in arguments.models or known:
            target = data.HERE / file
            made = known[file](target)
            onnx.checker.check_model(target, full_check=True)
            unit = 255.0 if file.startswith("dscnn") else 1.0
            score = maker.measured(target, made.task, made.target, unit)
            operators = Counter(node.op_type for node in onnx.load(target).graph.node)
            print(f"{file}: {target.stat().st_size} bytes, {made.target}, "
                  f"float {made.float_score:.4f}, quantized {score:.4f}, "
                  f"{dict(sorted(operators.items()))}", flush=True)


if __name__ == "__main__":
    main()
