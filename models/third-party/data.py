"""The tasks: training samples, held-out samples, and where the held-out samples are kept.

A held-out file holds raw samples; a model's input is `raw / divisor`, computed in float32.
"""

from __future__ import annotations

import io
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.fft import dct
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent
sys.path.insert(0, str(MODELS / "_train"))
import image_data

SEED = 1
WORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
LANGUAGES = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan",
             "en-gb-x-gbcwmd", "en-us-nyc"]
VARIANTS = (["adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david",
             "ed", "edward", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "gustave", "iven",
             "john", "klatt", "klatt2", "klatt3", "klatt4", "linda", "m1", "m2", "m3", "m4", "m5",
             "m6", "m7", "m8", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul",
             "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor",
             "zac"])
RATE = 22_050
FRAMES, HOP, WINDOW, BANDS, COEFFICIENTS = 25, 882, 1_024, 40, 10


@dataclass
class Task:
    """Samples as a model takes them (float32), without the batch dimension, and their labels."""

    x: np.ndarray
    y: np.ndarray
    heldout_x: np.ndarray
    heldout_y: np.ndarray

    def calibration(self, count: int = 200) -> np.ndarray:
        """Training samples for a quantizer, the same each time."""
        return self.x[np.random.default_rng(SEED).choice(len(self.x), count, replace=False)]


def scaled(raw: np.ndarray, divisor: float) -> np.ndarray:
    """`raw / divisor`, one float32 division."""
    return raw.astype(np.float32) / np.float32(divisor)


def heldout(path: str) -> tuple[np.ndarray, np.ndarray]:
    """A held-out file below `models/`."""
    archive = np.load(MODELS / path)
    return archive["x"], archive["y"]


def keep(path: str, x: np.ndarray, y: np.ndarray) -> None:
    """Writes a held-out file below `models/`."""
    np.savez_compressed(MODELS / path, x=x, y=y)


def digits() -> Task:
    """8x8 digits as vectors, pixels 0..16; the split of `digits-mlp`."""
    data = load_digits()
    x, _, y, _ = train_test_split(
        data.data.astype(np.uint8), data.target.astype(np.int64),
        test_size=1000, stratify=data.target, random_state=SEED,
    )
    held_x, held_y = heldout("digits-mlp/heldout.npz")
    return Task(scaled(x, 16), y, scaled(held_x, 16), held_y)


def mnist() -> Task:
    """28x28 digits, [N, 1, 28, 28]; held-out samples of `lenet5-mnist` (of the test set)."""
    (x, y), _ = image_data.mnist()
    held_x, held_y = heldout("lenet5-mnist/heldout.npz")
    return Task(scaled(x, 255), y, scaled(held_x, 255), held_y)


def animals() -> Task:
    """Silhouettes, [N, 1, 28, 28]; the split of `resnet-animals`."""
    x, y = image_data.animals()
    order = np.random.default_rng(SEED).permutation(len(x))
    test = np.concatenate([order[y[order] == c][:100] for c in range(10)])
    train = np.setdiff1d(order, test)
    held_x, held_y = heldout("resnet-animals/heldout.npz")
    return Task(scaled(x[train], 255), y[train], scaled(held_x, 255), held_y)


def risk() -> Task:
    """Breast cancer features, standardized; the split of `risk-classifier`."""
    data = load_breast_cancer()
    x, y = data.data.astype(np.float32), (data.target == 0).astype(np.int64)
    x, held_x, y, held_y = train_test_split(x, y, test_size=0.3, stratify=y, random_state=SEED)
    mean, std = x.mean(0), x.std(0)
    held_x = ((held_x - mean) / std).astype(np.float32)
    keep("third-party/risk-heldout.npz", held_x, held_y)
    return Task((x - mean) / std, y, held_x, held_y)


def masks() -> Task:
    """Silhouettes of 16x16 pixels under noise and a slanting background; the label is the mask.

    Shapes: `x` [N, 1, 16, 16], `y` [N, 1, 16, 16] of 0 and 1.
    """
    images, _ = image_data.animals()
    # The largest of each 2x2 block, after padding 28 to 32.
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    small = padded.reshape(-1, 1, 16, 2, 16, 2).max((3, 5))
    mask = (small > 127).astype(np.int64)
    rng = np.random.default_rng(SEED)
    count = len(mask)
    row, column = np.mgrid[0:16, 0:16] / 15
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    slope = (np.cos(angle) * row + np.sin(angle) * column) * rng.uniform(0, 90, (count, 1, 1, 1))
    light = rng.uniform(70, 130, (count, 1, 1, 1)) * mask
    noise = rng.normal(0, 25, mask.shape)
    x = np.clip(70 + slope + light + noise, 0, 255).astype(np.uint8)
    keep("third-party/masks-heldout.npz", x[-200:], mask[-200:].astype(np.uint8))
    return Task(scaled(x[:-200], 255), mask[:-200], scaled(x[-200:], 255), mask[-200:])


def speak(word: str, language: str, variant: str, rng: np.random.Generator) -> np.ndarray:
    """A word as espeak-ng says it, float64 samples at `RATE`."""
    pitch, speed = rng.integers(20, 80), rng.integers(120, 210)
    said = subprocess.run(
        ["espeak-ng", "-v", f"{language}+{variant}", "-p", str(pitch), "-s", str(speed),
         "--stdout", word],
        check=True, capture_output=True,
    ).stdout
    with wave.open(io.BytesIO(said)) as file:
        frames = file.readframes(file.getnframes())
    samples = np.frombuffer(frames, np.int16).astype(np.float64) / 32_768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]


def mel_filters() -> np.ndarray:
    """Triangular filters of 60 to 8,000 Hz on the mel scale, [BANDS, bins]."""
    mel = np.linspace(*(1127 * np.log1p(np.array([60, 8_000]) / 700)), BANDS + 2)
    edges = 700 * np.expm1(mel / 1127)
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))


def mfcc(samples: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Mel cepstrum of one second, [FRAMES, COEFFICIENTS]."""
    padded = np.pad(samples, (0, WINDOW))
    frames = np.stack([padded[i * HOP : i * HOP + WINDOW] for i in range(FRAMES)])
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2
    return dct(np.log(power @ filters.T + 1e-6), axis=1, norm="ortho")[:, :COEFFICIENTS]


def keywords() -> Task:
    """Ten spoken words as mel cepstra, [N, 25, 10] of 0..255; held-out voices are their own.

    The voices are espeak-ng's: synthetic speech, 51 voice variants in eight accents at random
    pitch and speed, moved in time and with noise of 8 to 30 dB below the word.
    """
    rng = np.random.default_rng(SEED)
    filters = mel_filters()
    variants = rng.permutation(VARIANTS)
    parts = []
    for voices, accents, takes in ((variants[10:], 4, 3), (variants[:10], 5, 1)):
        features, labels = [], []
        for voice in voices:
            for label, word in enumerate(WORDS):
                for accent in rng.choice(LANGUAGES, accents, replace=False):
                    said = speak(word, accent, voice, rng)
                    for _ in range(takes):
                        clip = np.zeros(RATE)
                        length = min(len(said), RATE)
                        at = rng.integers(0, RATE - length + 1)
                        clip[at : at + length] = said[:length]
                        level = np.sqrt((said**2).mean()) * 10 ** (-rng.uniform(8, 30) / 20)
                        clip = (clip + rng.normal(0, level, RATE)) * rng.uniform(0.4, 1.0)
                        features.append(mfcc(clip, filters))
                        labels.append(label)
        parts.append((np.stack(features), np.array(labels, np.int64)))
    (x, y), (held_x, held_y) = parts
    low, high = np.percentile(x, [0.5, 99.5], axis=(0, 1))
    to_bytes = lambda v: np.rint(np.clip((v - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    keep("third-party/keywords-heldout.npz", to_bytes(held_x), held_y)
    return Task(scaled(to_bytes(x), 255), y, scaled(to_bytes(held_x), 255), held_y)
