"""Models of TensorFlow users: Keras, quantized by TFLite or by training, written by tf2onnx."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # The only Keras that the optimization toolkit takes.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import data
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf2onnx
from tf_keras import Model, Sequential, layers, losses, optimizers

OPSET = 17
LOGITS = losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model: Model, x: np.ndarray, y: np.ndarray, loss, epochs: int, rate: float) -> None:
    """Adam on a cosine schedule."""
    steps = epochs * (len(x) // 64)
    model.compile(optimizers.Adam(optimizers.schedules.CosineDecay(rate, steps)), loss)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)


def tflite(model: Model, shape: list[int], samples: np.ndarray | None, integer_ends: bool,
           target: Path, work: Path) -> None:
    """TFLite's full integer quantization (int8, per channel), then tf2onnx.

    Without samples the ranges are those of the model's own fake quantization.
    """
    fixed = tf.function(model.call).get_concrete_function(tf.TensorSpec([1, *shape], tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([fixed], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if samples is not None:
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if integer_ends:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    path = work / f"{target.stem}.tflite"
    path.write_bytes(converter.convert())
    tf2onnx.convert.from_tflite(str(path), opset=OPSET, output_path=str(target))


def ds_cnn(task: data.Task) -> Model:
    """The keyword spotting network of MLPerf Tiny, narrowed from 64 channels to 12."""
    model = Sequential([layers.Input((25, 10, 1)),
                        layers.Conv2D(12, (10, 4), 2, "same", use_bias=False),
                        layers.BatchNormalization(), layers.ReLU()])
    for _ in range(4):
        for layer in (layers.DepthwiseConv2D(3, 1, "same", use_bias=False),
                      layers.Conv2D(12, 1, use_bias=False)):
            for part in (layer, layers.BatchNormalization(), layers.ReLU()):
                model.add(part)
    for part in (layers.AveragePooling2D((13, 5)), layers.Flatten(), layers.Dense(10),
                 layers.Softmax()):
        model.add(part)
    fit(model, task.x[..., None], task.y, "sparse_categorical_crossentropy", 15, 4e-3)
    return model


def dense_autoencoder(task: data.Task) -> Model:
    """The anomaly detector of MLPerf Tiny, narrowed: dense layers to a bottleneck and back."""
    model = Sequential([layers.Input((64,))])
    for width in (48, 32, 16, 32, 48):
        model.add(layers.Dense(width))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.Dense(64))
    fit(model, task.x, task.x, "mse", 150, 4e-3)
    return model


def pixels(task: data.Task) -> np.ndarray:
    """Images as TensorFlow has them, channels last."""
    return task.x.reshape(-1, 28, 28, 1)


def trained_float(task: data.Task) -> Model:
    """A small CNN."""
    model = Sequential([
        layers.Input((28, 28, 1)),
        layers.Conv2D(6, 5, 2, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(16, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0),
        layers.Conv2D(24, 3, activation="relu"),
        layers.Flatten(), layers.Dense(10),
    ])
    fit(model, pixels(task), task.y, LOGITS, 2, 4e-3)
    return model


def trained_quantized(model: Model, task: data.Task) -> Model:
    """The same with fake quantization, trained on."""
    model = tfmot.quantization.keras.quantize_model(model)
    fit(model, pixels(task), task.y, LOGITS, 1, 1e-3)
    return model


def keras(model: Model, shape: list[int], target: Path) -> None:
    """tf2onnx from the Keras model with its FakeQuant nodes."""
    signature = (tf.TensorSpec([1, *shape], tf.float32, name="input"),)
    tf2onnx.convert.from_keras(model, signature, opset=OPSET, output_path=str(target))
