"""Trains a small residual network on animal silhouettes: raw pixels 0..255 -> logits."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_train"))
import common
import image_data

SEED = 1
EPSILON = 1e-5
MOMENTUM = 0.95
EPOCHS = 60
LABELS = ["bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra"]

# Convolutions, each followed by batch normalisation: (inputs, outputs, kernel, stride, padding).
# The stem goes to 7x7 at once: proving cost follows the number of activations, and weights are
# free, so a wide kernel with a large stride is cheaper than many small layers.
CONVS = {
    "stem": (1, 12, 7, 4, 2),
    "block1.conv1": (12, 12, 3, 1, 1),
    "block1.conv2": (12, 12, 3, 1, 1),
    "block2.conv1": (12, 24, 3, 2, 1),
    "block2.conv2": (24, 24, 3, 1, 1),
    "block2.shortcut": (12, 24, 1, 2, 0),
    "block3.conv1": (24, 24, 3, 1, 1),
    "block3.conv2": (24, 24, 3, 1, 1),
}


def network(layer, relu, add, head, x):
    """The architecture, once for training and once for export."""
    x = relu(layer(x, "stem"), "stem.relu")
    for block in ("block1", "block2", "block3"):
        branch = relu(layer(x, f"{block}.conv1"), f"{block}.relu1")
        branch = layer(branch, f"{block}.conv2")
        shortcut = f"{block}.shortcut"
        x = relu(add(branch, layer(x, shortcut) if shortcut in CONVS else x, f"{block}.add"),
                 f"{block}.relu2")
    return head(x)


def forward(params, state, x, training=True):
    new_state = {}

    def layer(x, name):
        _, _, _, stride, pad = CONVS[name]
        x = common.conv(x, params[name]["w"], stride, pad)
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            new_state[name] = {
                "mean": MOMENTUM * state[name]["mean"] + (1 - MOMENTUM) * mean,
                "var": MOMENTUM * state[name]["var"] + (1 - MOMENTUM) * var,
            }
        else:
            mean, var = state[name]["mean"], state[name]["var"]
        scale = params[name]["scale"] / jnp.sqrt(var + EPSILON)
        return x * scale[:, None, None] + (params[name]["b"] - mean * scale)[:, None, None]

    logits = network(
        layer, lambda x, _: jax.nn.relu(x), lambda a, b, _: a + b,
        lambda x: common.mlp([params["fc"]], x.mean((2, 3))), x,
    )
    return logits, new_state if training else state


def export(params, state):
    graph = common.Graph("resnet_animals", "image", [1, 1, 28, 28])

    def layer(x, name):
        _, _, _, stride, pad = CONVS[name]
        w = np.asarray(params[name]["w"], np.float64)
        # The training divides pixels by 255; the model takes them raw.
        x = graph.conv(x, w / 255 if name == "stem" else w, None, name, stride, pad)
        numbers = [params[name]["scale"], params[name]["b"], state[name]["mean"],
                   state[name]["var"]]
        constants = [
            graph.constant(f"{name}.bn.{part}", np.asarray(value, np.float32))
            for part, value in zip(("scale", "bias", "mean", "var"), numbers, strict=True)
        ]
        return graph.node("BatchNormalization", [x, *constants], f"{name}.bn", epsilon=EPSILON)

    def head(x):
        x = graph.node("GlobalAveragePool", [x], "pool")
        x = graph.node("Flatten", [x], "flatten", axis=1)
        return graph.gemm(x, params["fc"]["w"], params["fc"]["b"], "fc")

    output = network(
        layer, lambda x, name: graph.node("Relu", [x], name),
        lambda a, b, name: graph.node("Add", [a, b], name), head, "image",
    )
    return graph.finish(output, "logits", [1, 10])


def augment(rng, x):
    flip = rng.random(len(x)) < 0.5
    x = np.where(flip[:, None, None, None], x[..., ::-1], x)
    return image_data.shift(rng, x, 2).astype(np.float32) / 255


def main() -> None:
    x, y = image_data.animals()
    order = np.random.default_rng(SEED).permutation(len(x))
    # 100 held-out images of each class.
    test = np.sort(np.concatenate([order[y[order] == c][:100] for c in range(10)]))
    train = np.setdiff1d(order, test)
    x_train, y_train = x[train], y[train]
    print(f"{len(train)} training and {len(test)} held-out images")

    rng = np.random.default_rng(SEED)
    params, state = {}, {}
    for name, (inputs, outputs, kernel, _, _) in CONVS.items():
        params[name] = common.he_conv(rng, inputs, outputs, kernel) | {"scale": jnp.ones(outputs)}
        state[name] = {"mean": jnp.zeros(outputs), "var": jnp.ones(outputs)}
    params["fc"] = common.he_dense(rng, 24, 10)

    params, state = common.fit(
        forward, params, x_train, y_train,
        epochs=EPOCHS, batch=128, learning_rate=6e-3, weight_decay=0.1, smoothing=0.1, seed=SEED,
        augment=augment, state=state, log=lambda *_: "",
    )
    calibration = np.random.default_rng(SEED).choice(len(x_train), 200, replace=False)
    common.write_folder(
        Path(__file__).resolve().parent, export(params, state),
        heldout=(x[test], y[test]),
        calibration=x_train[calibration],
        title="Animal silhouettes, residual network",
        description="One of ten animals from a 28x28 silhouette, pixels 0..255 (small ResNet).",
        labels=LABELS,
    )


if __name__ == "__main__":
    main()
