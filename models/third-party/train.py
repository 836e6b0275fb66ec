"""Trains the PyTorch networks, one after the other, a minute or less each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import data
import numpy as np
import torch
from torch import nn
from torch.nn import functional


@dataclass
class Recipe:
    """How a network is trained."""

    net: Callable[[], nn.Module]
    task: Callable[[], data.Task]
    epochs: int
    rate: float = 4e-3
    batch: int = 128
    # `classes`, `pixels` (a logit for each) or `itself` (the input is to come out again).
    target: str = "classes"


def loss_of(target: str, out: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """What training lowers."""
    if target == "itself":
        return functional.mse_loss(out.flatten(1), x.flatten(1))
    if target == "pixels":
        return functional.binary_cross_entropy_with_logits(out, y.float())
    return functional.cross_entropy(out, y, label_smoothing=0.05)


def fit(net: nn.Module, recipe: Recipe, task: data.Task) -> nn.Module:
    """AdamW on a cosine schedule; images are moved by at most a pixel."""
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    steps = recipe.epochs * (len(x) // recipe.batch)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    generator = torch.Generator().manual_seed(data.SEED)
    net.train()
    for _ in range(recipe.epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x) - recipe.batch + 1, recipe.batch):
            pick = order[start : start + recipe.batch]
            xb, yb = x[pick], y[pick]
            if x.dim() == 4 and recipe.target == "classes":
                moved = torch.randint(-1, 2, (2,), generator=generator).tolist()
                xb = torch.roll(xb, moved, (2, 3))
            optimiser.zero_grad()
            loss_of(recipe.target, net(xb), xb, yb).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def score(target: str, run: Callable[[np.ndarray], np.ndarray], task: data.Task) -> float:
    """Share of held-out samples or pixels that are right; of an autoencoder, share of variance
    that it explains. `run` takes one sample with batch dimension 1.
    """
    out = np.stack([run(sample[None])[0] for sample in task.heldout_x])
    if target == "itself":
        x = task.heldout_x.reshape(len(out), -1)
        return float(1 - ((out.reshape(len(out), -1) - x) ** 2).mean() / x.var(0).mean())
    if target == "pixels":
        return float(((out > 0) == task.heldout_y).mean())
    return float((out.argmax(-1) == task.heldout_y).mean())
