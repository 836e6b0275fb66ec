"""Trains the risk classifier: 30 raw clinical features -> 30-64-32-2 -> logits."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "_train"))
import common

SEED = 1


def main() -> None:
    data = load_breast_cancer()
    # Class 1 is "malignant" here, so that label 1 is the risk (scikit-learn has it the other way).
    x, y = data.data.astype(np.float32), (data.target == 0).astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=0.3, stratify=y, random_state=SEED
    )
    mean, std = x_train.mean(0, dtype=np.float64), x_train.std(0, dtype=np.float64)

    rng = np.random.default_rng(SEED)
    params = [common.he_dense(rng, i, o) for i, o in ((30, 64), (64, 32), (32, 2))]
    params, _ = common.fit(
        lambda p, s, xb: (common.mlp(p, xb), s), params,
        ((x_train - mean) / std).astype(np.float32), y_train,
        # Chosen by 5-fold cross-validation (0.98); strong decay and noise suit 400 samples.
        epochs=100, batch=32, learning_rate=1e-3, weight_decay=3.0, smoothing=0.05, seed=SEED,
        augment=lambda g, xb: xb + g.normal(0, 0.3, xb.shape).astype(np.float32),
    )

    # (x - mean) / std is folded into the first layer: the model takes raw features.
    w, b = (np.asarray(params[0][k], np.float64) for k in "wb")
    params[0] = {"w": w / std, "b": b - w @ (mean / std)}
    common.write_folder(
        Path(__file__).resolve().parent,
        common.relu_mlp("risk_classifier", "features", params),
        heldout=(x_test, y_test),
        calibration=x_train[:200],
        title="Tumour risk classifier",
        description="Benign or malignant from 30 raw measurements of cell nuclei "
                    "(30-64-32-2 MLP). A demonstration, not medical advice.",
        labels=["benign", "malignant"],
    )


if __name__ == "__main__":
    main()
