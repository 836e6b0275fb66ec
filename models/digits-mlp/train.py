"""Trains the digits MLP: 8x8 pixel values 0..16 -> 64-128-10 -> logits."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_train"))
import common

SEED = 1


def shift(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Moves each 8x8 image by at most one pixel each way, half of the images not at all."""
    images = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moves = rng.integers(0, 3, (len(x), 2)) * (rng.random((len(x), 1)) < 0.5)
    moves[(moves == 0).all(1)] = 1
    return np.stack([im[r : r + 8, c : c + 8] for im, (r, c) in zip(images, moves)]).reshape(-1, 64)


def main() -> None:
    data = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        data.data.astype(np.uint8), data.target.astype(np.int64),
        test_size=1000, stratify=data.target, random_state=SEED,
    )
    rng = np.random.default_rng(SEED)
    params = [common.he_dense(rng, i, o) for i, o in ((64, 128), (128, 10))]
    params, _ = common.fit(
        lambda p, s, xb: (common.mlp(p, xb), s), params,
        x_train.astype(np.float32) / 16, y_train,
        epochs=200, batch=64, learning_rate=4e-3, weight_decay=0.05, smoothing=0.05, seed=SEED,
        augment=shift,
    )
    # x / 16 is folded into the first layer: a power of two, so no weight is rounded.
    params[0]["w"] = np.asarray(params[0]["w"]) / 16
    common.write_folder(
        Path(__file__).resolve().parent,
        common.relu_mlp("digits_mlp", "pixels", params),
        heldout=(x_test, y_test),
        calibration=x_train[:200],
        title="Handwritten digits, 8x8",
        description="Digit 0-9 from 64 pixel values 0..16 (64-128-10 MLP).",
        labels=[str(d) for d in range(10)],
    )


if __name__ == "__main__":
    main()
