"""What the sample models share: training, an ONNX graph builder, and writing a model folder.

The float models are written with `onnx.helper` from the trained weights, not exported by a
framework: each node of `float.onnx` is then exactly one that a `train.py` names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import optax
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
MODELS = Path(__file__).resolve().parent.parent


def sha256(path: Path) -> str:
    """SHA-256 of a file, as lower-case hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Training ----------------------------------------------------------------------------------


def he_dense(rng: np.random.Generator, inputs: int, outputs: int) -> dict:
    """A dense layer `y = x @ w.T + b` with `w` of shape [outputs, inputs], He initialisation."""
    w = rng.normal(0.0, np.sqrt(2.0 / inputs), (outputs, inputs)).astype(np.float32)
    return {"w": jnp.asarray(w), "b": jnp.zeros(outputs, jnp.float32)}


def he_conv(rng: np.random.Generator, inputs: int, outputs: int, kernel: int) -> dict:
    """A convolution with `w` of shape [outputs, inputs, kernel, kernel], He initialisation."""
    fan_in = inputs * kernel * kernel
    w = rng.normal(0.0, np.sqrt(2.0 / fan_in), (outputs, inputs, kernel, kernel))
    return {"w": jnp.asarray(w.astype(np.float32)), "b": jnp.zeros(outputs, jnp.float32)}


def conv(x: jax.Array, w: jax.Array, stride: int = 1, pad: int = 0) -> jax.Array:
    """2-D convolution, NCHW and OIHW, with symmetric zero padding."""
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), [(pad, pad), (pad, pad)],
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 max pooling with stride 2, NCHW."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def mlp(params: list[dict], x: jax.Array) -> jax.Array:
    """Dense layers with Relu between them."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"].T + layer["b"])
    return x @ params[-1]["w"].T + params[-1]["b"]


def decay_mask(params):
    """Weight decay acts on matrices and kernels, not on biases or normalisation parameters."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float) -> jax.Array:
    """Mean softmax cross entropy with label smoothing."""
    classes = logits.shape[-1]
    target = jax.nn.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
    return optax.softmax_cross_entropy(logits, target).mean()


def fit(
    forward: Callable,
    params,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    smoothing: float = 0.0,
    augment: Callable[[np.random.Generator, np.ndarray], np.ndarray] | None = None,
    state=None,
    log: Callable[[int, object, object], str] | None = None,
):
    """AdamW on a cosine schedule.

    `forward(params, state, x) -> (logits, state)`; `state` carries running statistics of batch
    normalisation and is `None` for models without it. Returns `(params, state)`.
    """
    steps = epochs * (len(x) // batch)
    schedule = optax.warmup_cosine_decay_schedule(
        learning_rate / 20, learning_rate, max(1, steps // 20), steps, learning_rate / 1000
    )
    optimiser = optax.adamw(schedule, weight_decay=weight_decay, mask=decay_mask)
    memory = optimiser.init(params)

    @jax.jit
    def step(params, state, memory, xb, yb):
        def loss(p):
            logits, new_state = forward(p, state, xb)
            return cross_entropy(logits, yb, smoothing), new_state

        (value, new_state), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, memory = optimiser.update(gradient, memory, params)
        return optax.apply_updates(params, updates), new_state, memory, value

    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        total, count = 0.0, 0
        for start in range(0, len(x) - batch + 1, batch):
            pick = order[start : start + batch]
            xb = x[pick] if augment is None else augment(rng, x[pick])
            params, state, memory, value = step(params, state, memory, xb, y[pick])
            total, count = total + value, count + 1
        if log is not None:
            print(f"epoch {epoch + 1}/{epochs}: loss {float(total) / count:.4f}"
                  f"{log(epoch, params, state)}", flush=True)
    return params, state


# --- ONNX --------------------------------------------------------------------------------------


class Graph:
    """Builds an ONNX graph of one input and one output, node by node, with static shapes."""

    def __init__(self, name: str, input_name: str, input_shape: list[int]):
        self.name = name
        self.input = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, input_shape)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """Adds an initializer and returns its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes) -> str:
        """Adds a node `name` with the single output `name:out` and returns that output's name."""
        output = f"{name}:out"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def gemm(self, x: str, w: np.ndarray, b: np.ndarray, name: str) -> str:
        """`x @ w.T + b`, `w` of shape [outputs, inputs]."""
        weight = self.constant(f"{name}.weight", np.asarray(w, np.float32))
        bias = self.constant(f"{name}.bias", np.asarray(b, np.float32))
        return self.node("Gemm", [x, weight, bias], name, transB=1)

    def conv(self, x: str, w: np.ndarray, b: np.ndarray | None, name: str,
             stride: int = 1, pad: int = 0) -> str:
        """A 2-D convolution, kernel [outputs, inputs, k, k]; no bias input when `b` is None."""
        w = np.asarray(w, np.float32)
        inputs = [x, self.constant(f"{name}.weight", w)]
        if b is not None:
            inputs.append(self.constant(f"{name}.bias", np.asarray(b, np.float32)))
        return self.node("Conv", inputs, name, kernel_shape=list(w.shape[2:]),
                         strides=[stride, stride], pads=[pad] * 4)

    def max_pool(self, x: str, name: str) -> str:
        """2x2 max pooling with stride 2."""
        return self.node("MaxPool", [x], name, kernel_shape=[2, 2], strides=[2, 2])

    def finish(self, output: str, output_name: str, output_shape: list[int]) -> onnx.ModelProto:
        """Renames `output` to the graph's output, checks the model with shape inference."""
        for node in self.nodes:
            node.input[:] = [output_name if i == output else i for i in node.input]
            node.output[:] = [output_name if o == output else o for o in node.output]
        result = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, output_shape)
        graph = helper.make_graph(self.nodes, self.name, [self.input], [result], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  producer_name="proofmark-models")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def relu_mlp(name: str, input_name: str, params: list[dict]) -> onnx.ModelProto:
    """The graph Gemm, Relu, …, Gemm of dense layers as `mlp` runs them."""
    widths = [params[0]["w"].shape[1]] + [layer["w"].shape[0] for layer in params]
    graph = Graph(name, input_name, [1, widths[0]])
    x = input_name
    for number, layer in enumerate(params, start=1):
        x = graph.gemm(x, layer["w"], layer["b"], f"fc{number}")
        if number < len(params):
            x = graph.node("Relu", [x], f"relu{number}")
    return graph.finish(x, "logits", [1, widths[-1]])


# --- A model folder ----------------------------------------------------------------------------


def accuracy(path: Path, x: np.ndarray, y: np.ndarray) -> float:
    """Share of samples whose arg-max logit in ONNX Runtime is the label."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    hits = sum(
        int(session.run(None, {name: sample[None].astype(np.float32)})[0].argmax() == label)
        for sample, label in zip(x, y, strict=True)
    )
    return hits / len(y)


def write_folder(
    folder: Path,
    model: onnx.ModelProto,
    *,
    heldout: tuple[np.ndarray, np.ndarray],
    calibration: np.ndarray,
    title: str,
    description: str,
    labels: list[str],
    all_test: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Writes `float.onnx`, `heldout.npz`, `calibration.npz` and `model.toml`; prints accuracy."""
    path = folder / "float.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    x, y = heldout
    np.savez_compressed(folder / "heldout.npz", x=np.ascontiguousarray(x), y=y.astype(np.int64))
    np.savez_compressed(folder / "calibration.npz", x=np.ascontiguousarray(calibration))
    held = accuracy(path, x, y)
    print(f"{folder.name}: {path.stat().st_size} bytes, "
          f"operators {sorted({n.op_type for n in model.graph.node})}")
    print(f"{folder.name}: accuracy on {len(y)} held-out samples {held:.4f}")
    if all_test is not None:
        print(f"{folder.name}: accuracy on all {len(all_test[1])} test samples "
              f"{accuracy(path, *all_test):.4f}")
    quoted = json.dumps
    (folder / "model.toml").write_text(
        f"name = {quoted(folder.name)}\n"
        f"title = {quoted(title)}\n"
        f"description = {quoted(description)}\n"
        f"input = {quoted(model.graph.input[0].name)}\n"
        f"labels = {quoted(labels, ensure_ascii=False)}\n"
        f"heldout_accuracy_float = {held:.4f}\n"
        f"licence = \"MIT OR Apache-2.0\"\n",
        encoding="utf-8",
    )
