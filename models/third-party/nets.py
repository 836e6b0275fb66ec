"""The PyTorch networks: architectures that people use, narrowed until a model is a few kilobytes."""

from __future__ import annotations

import torch
from torch import nn


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
            act: type[nn.Module] | None = nn.ReLU) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([act()] if act else []))


class LeNet(nn.Sequential):
    """LeNet-5 with Relu and max pooling."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 12, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(300, 60), nn.ReLU(), nn.Linear(60, 10),
        )


class MobileNet(nn.Sequential):
    """MobileNet v1: depthwise separable convolutions with Relu6."""

    def __init__(self):
        blocks = [conv_bn(1, 8, 3, 2, act=nn.ReLU6)]
        for inputs, outputs, stride in ((8, 16, 2), (16, 24, 1), (24, 32, 2)):
            blocks += [conv_bn(inputs, inputs, 3, stride, inputs, nn.ReLU6),
                       conv_bn(inputs, outputs, 1, act=nn.ReLU6)]
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


class Residual(nn.Module):
    """The basic block of ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = conv_bn(inputs, outputs, 3, stride)
        self.conv2 = conv_bn(outputs, outputs, 3, act=None)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, act=None)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class ResNet8(nn.Sequential):
    """ResNet-8 as MLPerf Tiny has it, with a pooled stem."""

    def __init__(self):
        super().__init__(
            conv_bn(1, 8, 5, 2), nn.MaxPool2d(2),
            Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 24, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10),
        )


class AveragePools(nn.Sequential):
    """A LeNet whose pools are averages, as in the first one, and a global one at the end."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 6, 5, 2), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3, 2, 1),
            nn.Conv2d(16, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(24, 10),
        )


class SqueezeExcite(nn.Module):
    """Channel weights from a global average."""

    def __init__(self, channels: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 8, 1), nn.ReLU(),
            nn.Conv2d(8, channels, 1), nn.Hardsigmoid(),
        )

    def forward(self, x):
        return x * self.gate(x)


class MobileNetV3(nn.Sequential):
    """MobileNet v3: hard-swish and squeeze-and-excite."""

    def __init__(self):
        super().__init__(
            conv_bn(1, 8, 3, 2, act=nn.Hardswish),
            conv_bn(8, 8, 3, 2, 8), SqueezeExcite(8), conv_bn(8, 12, 1, act=None),
            conv_bn(12, 32, 1, act=nn.Hardswish), conv_bn(32, 32, 5, 2, 32, nn.Hardswish),
            SqueezeExcite(32), conv_bn(32, 24, 1, act=None),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(24, 32), nn.Hardswish(), nn.Linear(32, 10),
        )


class Leaky(nn.LeakyReLU):
    """The slope that Darknet has."""

    def __init__(self):
        super().__init__(0.1)


class TinyDarknet(nn.Sequential):
    """Tiny Darknet: leaky Relu, 3x3 and 1x1 convolutions, max pooling."""

    def __init__(self):
        super().__init__(
            conv_bn(1, 6, 3, 2, act=Leaky), nn.MaxPool2d(2),
            conv_bn(6, 16, 3, act=Leaky), conv_bn(16, 8, 1, act=Leaky),
            conv_bn(8, 24, 3, act=Leaky), nn.MaxPool2d(2),
            conv_bn(24, 32, 3, act=Leaky), nn.Conv2d(32, 10, 1),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )


class Fire(nn.Module):
    """SqueezeNet's block: a squeeze, and two expansions side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inputs, squeeze, 1), nn.ReLU())
        self.expand1 = nn.Sequential(nn.Conv2d(squeeze, expand, 1), nn.ReLU())
        self.expand3 = nn.Sequential(nn.Conv2d(squeeze, expand, 3, padding=1), nn.ReLU())

    def forward(self, x):
        x = self.squeeze(x)
        return torch.cat([self.expand1(x), self.expand3(x)], 1)


class SqueezeNet(nn.Sequential):
    """SqueezeNet, without the Relu behind its last convolution."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 12, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            Fire(12, 6, 12), Fire(24, 8, 12), nn.MaxPool2d(2), Fire(24, 10, 24),
            nn.Conv2d(48, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )


class Inception(nn.Module):
    """GoogLeNet's block: four branches of other kernels, one behind a pool."""

    def __init__(self, inputs: int, each: int):
        super().__init__()
        self.one = conv_bn(inputs, each, 1)
        self.three = nn.Sequential(conv_bn(inputs, each, 1), conv_bn(each, each, 3))
        self.five = nn.Sequential(conv_bn(inputs, each // 2, 1), conv_bn(each // 2, each, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(inputs, each, 1))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class GoogLeNet(nn.Sequential):
    """Two inception blocks."""

    def __init__(self):
        super().__init__(
            conv_bn(1, 8, 5, 2), nn.MaxPool2d(2), Inception(8, 6), nn.MaxPool2d(2),
            Inception(24, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
        )


class SigmoidTanh(nn.Sequential):
    """A perceptron with the activations of the textbooks."""

    def __init__(self):
        super().__init__(
            nn.Linear(30, 24), nn.Sigmoid(), nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 2),
        )


class TcBlock(nn.Module):
    """The residual block of TC-ResNet: two convolutions over time."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv1d(inputs, outputs, 9, 2, 4, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(),
            nn.Conv1d(outputs, outputs, 9, 1, 4, bias=False), nn.BatchNorm1d(outputs),
        )
        self.shortcut = nn.Sequential(
            nn.Conv1d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(),
        )
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.branch(x) + self.shortcut(x))


class TcResNet(nn.Module):
    """TC-ResNet-8: keyword spotting with 1-D convolutions; cepstra are the channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(10, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(TcBlock(16, 24), TcBlock(24, 32), TcBlock(32, 40))
        self.head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(40, 10))

    def forward(self, x):
        return self.head(self.blocks(self.stem(x.transpose(1, 2))))


class Autoencoder(nn.Sequential):
    """A convolutional autoencoder of 28x28 digits with 40 numbers in the middle."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(588, 40), nn.ReLU(), nn.Linear(40, 196), nn.ReLU(),
            nn.Unflatten(1, (4, 7, 7)),
            nn.Upsample(scale_factor=2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(),
            nn.Conv2d(8, 4, 3, padding=1), nn.PixelShuffle(2), nn.Sigmoid(),
        )


class UNet(nn.Module):
    """U-Net of two levels; nearest neighbours on the way up; a logit for each pixel."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = conv_bn(1, 6, 3), conv_bn(6, 12, 3)
        self.middle = conv_bn(12, 16, 3)
        self.up2, self.up1 = conv_bn(28, 10, 3), conv_bn(16, 6, 3)
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.head = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.middle(self.pool(b))
        b = self.up2(torch.cat([self.up(c), b], 1))
        return self.head(self.up1(torch.cat([self.up(b), a], 1)))


class Transformer(nn.Module):
    """One encoder block over the eight rows of an 8x8 digit.

    Batch normalisation in place of layer normalisation, as networks for 8 bits have it: it folds
    into the layer before it.
    """

    def __init__(self, width: int = 16, heads: int = 2):
        super().__init__()
        self.width, self.heads = width, heads
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.zeros(1, 8, width))
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.feed = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, width))
        self.head = nn.Linear(8 * width, 10)

    def split(self, x):
        return x.reshape(1 if not self.training else -1, 8, self.heads,
                         self.width // self.heads).transpose(1, 2)

    def forward(self, x):
        batch = -1 if self.training else 1
        x = self.embed(x.reshape(batch, 8, 8)) + self.position
        query, key, value = (self.split(f(x)) for f in (self.query, self.key, self.value))
        score = query @ key.transpose(2, 3) * (self.width // self.heads) ** -0.5
        mixed = (score.softmax(-1) @ value).transpose(1, 2).reshape(batch, 8, self.width)
        x = x + self.out(mixed)
        x = x + self.feed(x)
        return self.head(x.reshape(batch, 8 * self.width))
