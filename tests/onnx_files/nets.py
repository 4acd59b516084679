"""Nets in PyTorch as people write them, for what loads ONNX files of its exporters."""

import torch
from torch import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.Tanh(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Linear(400, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))

    def forward(self, x):
        x = self.features(x)
        return torch.log_softmax(self.classifier(x.view(x.size(0), -1)), dim=1)


def block(inputs, outputs, **options):
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class VGG(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *block(1, 8), *block(8, 8), nn.MaxPool2d(2), *block(8, 12), nn.MaxPool2d(2)
        )
        self.pool = nn.AdaptiveAvgPool2d((1, 7))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 10))

    def forward(self, x):
        return self.classifier(nn.functional.pad(self.pool(self.features(x)), (1, 0, 0, 1)))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            *block(inputs, outputs, stride=stride),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), Residual(8, 8, 1), Residual(8, 16, 2))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU6())
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardswish()
        )
        self.pointwise = nn.Sequential(nn.Conv2d(8, 12, 1), nn.SiLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 12, 1), nn.Hardsigmoid())
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(12, 10))

    def forward(self, x):
        x = self.pointwise(self.depthwise(self.stem(x)))
        return torch.softmax(self.head(x * self.gate(x)), -1)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.LeakyReLU(0.2))
        self.middle = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.PReLU(8), nn.GroupNorm(2, 8))
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.out = nn.Conv2d(12, 1, 3, padding=1, padding_mode="reflect")

    def forward(self, x):
        y = self.down(x)
        z = self.up(self.middle(y))
        z = torch.cat([y, z], 1)
        z = nn.functional.interpolate(z, scale_factor=2, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.out(z))


class Recurrent(nn.Module):
    """Rows of a picture as a sequence; and attention, by elementary functions."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 8, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(16, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        y, _ = self.lstm(x[:, 0])
        y, _ = self.gru(y.transpose(0, 1))
        y = self.norm(nn.functional.gelu(y)).transpose(0, 1)
        weights = torch.softmax(y @ y.transpose(1, 2) / 8**0.5, -1)
        return self.head((weights @ y)[:, -1])


NETS = [LeNet, VGG, ResNet, MobileNet, UNet, Recurrent]
