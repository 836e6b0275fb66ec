"""Trains LeNet-5 on MNIST: raw pixels 0..255 -> logits."""

import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_train"))
import common
import image_data

SEED = 1


def forward(params, state, x):
    x = jax.nn.relu(common.conv(x, params["conv1"]["w"]) + params["conv1"]["b"][:, None, None])
    x = common.max_pool(x)
    x = jax.nn.relu(common.conv(x, params["conv2"]["w"]) + params["conv2"]["b"][:, None, None])
    x = common.max_pool(x)
    return common.mlp(params["dense"], x.reshape(len(x), -1)), state


def export(params):
    graph = common.Graph("lenet5_mnist", "image", [1, 1, 28, 28])
    # The training divides pixels by 255; the model takes them raw.
    x = graph.conv("image", np.asarray(params["conv1"]["w"], np.float64) / 255,
                   params["conv1"]["b"], "conv1")
    x = graph.max_pool(graph.node("Relu", [x], "relu1"), "pool1")
    x = graph.conv(x, params["conv2"]["w"], params["conv2"]["b"], "conv2")
    x = graph.max_pool(graph.node("Relu", [x], "relu2"), "pool2")
    x = graph.node("Flatten", [x], "flatten", axis=1)
    for number, layer in enumerate(params["dense"], start=3):
        x = graph.gemm(x, layer["w"], layer["b"], f"fc{number}")
        if number < 5:
            x = graph.node("Relu", [x], f"relu{number}")
    return graph.finish(x, "logits", [1, 10])


def main() -> None:
    (x_train, y_train), (x_test, y_test) = image_data.mnist()
    rng = np.random.default_rng(SEED)
    params = {
        "conv1": common.he_conv(rng, 1, 6, 5),
        "conv2": common.he_conv(rng, 6, 16, 5),
        "dense": [common.he_dense(rng, i, o) for i, o in ((256, 120), (120, 84), (84, 10))],
    }
    params, _ = common.fit(
        forward, params, x_train, y_train,
        epochs=8, batch=128, learning_rate=4e-3, weight_decay=0.05, smoothing=0.02, seed=SEED,
        augment=lambda g, xb: image_data.shift(g, xb, 1).astype(np.float32) / 255,
        log=lambda *_: "",
    )
    # 1,000 of the 10,000 test images are committed, 100 of each digit where the order allows.
    pick = np.sort(np.concatenate([np.flatnonzero(y_test == d)[:100] for d in range(10)]))
    calibration = np.random.default_rng(SEED).choice(len(x_train), 200, replace=False)
    common.write_folder(
        Path(__file__).resolve().parent, export(params),
        heldout=(x_test[pick], y_test[pick]),
        all_test=(x_test, y_test),
        calibration=x_train[calibration],
        title="LeNet-5, handwritten digits",
        description="Digit 0-9 from a 28x28 grey image, pixels 0..255 (LeNet-5 on MNIST).",
        labels=[str(d) for d in range(10)],
    )


if __name__ == "__main__":
    main()
