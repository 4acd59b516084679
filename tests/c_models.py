"""Models for the tests of `cnnx.export_c`: by name what makes one, and the shapes of its inputs."""

import cnnx
from cnnx import nn
from cnnx.nn import functional as F


def of(function):
    """A function as a model."""

    class Net(nn.Module):
        def __init__(self, *parts):
            super().__init__()
            self.parts = nn.ModuleList(parts)

        def forward(self, *inputs):
            return function(*inputs, *self.parts)

    return Net


def stack(*layers):
    return lambda: nn.Sequential(*[layer() for layer in layers])


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.Conv2d(6, 6, 3, padding=1)
        self.norm, self.side = nn.BatchNorm2d(6), nn.Conv2d(3, 6, 1)
        self.norm.running_mean.copy_(cnnx.randn(6))
        self.norm.running_var.copy_(cnnx.rand(6) + 0.5)

    def forward(self, x):
        y = F.relu(self.norm(self.a(x)))
        return F.relu(self.b(y) + self.side(x)).mean((2, 3))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(5, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.norm = (*(nn.Linear(6, 6) for _ in range(3)), nn.LayerNorm(6))

    def forward(self, x):
        weights = F.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 6**0.5, -1)
        return self.norm(x + weights @ self.v(x))


class WritesInPlace(nn.Module):
    def forward(self, x):
        y = x.clone()
        y[:, 1:] += 1
        y[:, :, ::2] = 0.5
        y.relu_()
        return y * x


class NormAlone(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.norm.running_var.copy_(cnnx.rand(5) + 0.5)
        self.norm.running_mean.copy_(cnnx.randn(5))

    def forward(self, x):
        return self.norm(x.abs())


MODELS = {
    "mlp": (stack(lambda: nn.Linear(9, 7), nn.Tanh, lambda: nn.Linear(7, 3, bias=False)), [(1, 9)]),
    "mlp, 3 rows": (stack(lambda: nn.Linear(9, 7), nn.ReLU, lambda: nn.Linear(7, 3)), [(3, 9)]),
    "dense on 3 dimensions": (lambda: nn.Linear(4, 5), [(2, 3, 4)]),
    "dense without a batch": (lambda: nn.Linear(4, 5), [(4,)]),
    "conv": (lambda: nn.Conv2d(3, 5, 3), [(1, 3, 8, 9)]),
    "conv, padded": (lambda: nn.Conv2d(2, 5, (3, 5), padding=(1, 2)), [(1, 2, 7, 5)]),
    "conv, padded widely": (lambda: nn.Conv2d(2, 3, 3, padding=4), [(1, 2, 2, 3)]),
    "conv, stride": (lambda: nn.Conv2d(2, 4, 3, stride=(2, 3), padding=1), [(2, 2, 9, 11)]),
    "conv, stride beyond the kernel": (lambda: nn.Conv2d(1, 2, 2, stride=5, padding=1), [(1, 1, 12, 13)]),
    "conv, dilation": (lambda: nn.Conv2d(2, 3, 3, dilation=(2, 3), padding=2), [(1, 2, 9, 10)]),
    "conv, groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), [(1, 4, 5, 6)]),
    "conv, depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), [(1, 4, 5, 6)]),
    "conv, 1x1 padded": (lambda: nn.Conv2d(1, 1, 1, padding=1), [(1, 1, 3, 4)]),
    "conv, one cell": (lambda: nn.Conv2d(3, 4, 5), [(1, 3, 5, 5)]),
    "conv without a batch": (lambda: nn.Conv2d(3, 4, 3), [(3, 5, 5)]),
    "conv, padding same": (lambda: nn.Conv2d(2, 3, 4, padding="same"), [(1, 2, 7, 6)]),
    "conv, padding of what is there": (
        lambda: nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"),
        [(1, 2, 7, 6)],
    ),
    "conv 1d": (lambda: nn.Conv1d(3, 5, 4, stride=2, padding=3), [(2, 3, 17)]),
    "transposed": (
        lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
        [(1, 3, 5, 4)],
    ),
    "transposed, groups": (lambda: nn.ConvTranspose2d(4, 6, 2, groups=2, dilation=2), [(2, 4, 3, 5)]),
    "transposed 1d": (lambda: nn.ConvTranspose1d(3, 2, 5, stride=3, bias=False), [(1, 3, 6)]),
    "transposed, norm": (
        stack(lambda: nn.ConvTranspose2d(2, 4, 3, groups=2), lambda: nn.BatchNorm2d(4), nn.ReLU),
        [(1, 2, 4, 4)],
    ),
    "conv, norm, pool": (
        stack(
            lambda: nn.Conv2d(1, 4, 3, padding=1),
            lambda: nn.BatchNorm2d(4),
            nn.ReLU,
            lambda: nn.MaxPool2d(2),
            lambda: nn.Conv2d(4, 3, 3),
            lambda: nn.MaxPool2d(3),
            nn.Sigmoid,
        ),
        [(2, 1, 17, 15)],
    ),
    "conv, pool, what does not rise": (
        stack(lambda: nn.Conv2d(1, 3, 3), lambda: nn.MaxPool2d(2), nn.GELU),
        [(1, 1, 9, 9)],
    ),
    "conv, relu, norm, pool": (
        stack(lambda: nn.Conv2d(1, 3, 3), nn.ReLU, lambda: nn.BatchNorm2d(3), lambda: nn.MaxPool2d(2)),
        [(1, 1, 8, 9)],
    ),
    "norm, pool": (stack(lambda: nn.BatchNorm2d(3), lambda: nn.MaxPool2d(2)), [(1, 3, 4, 6)]),
    "conv, reshape, pool": (
        lambda: of(lambda x, conv: F.max_pool2d(conv(x).reshape(1, 2, 6, 4), 2))(nn.Conv2d(1, 2, 3)),
        [(1, 1, 6, 8)],
    ),
    "dense, norm": (stack(lambda: nn.Linear(6, 5), lambda: nn.BatchNorm1d(5), nn.ReLU), [(3, 6)]),
    "norm alone": (NormAlone, [(4, 5)]),
    "norm of series": (NormAlone, [(2, 5, 6)]),
    "max pool, padded": (lambda: nn.MaxPool2d(3, 2, 1), [(2, 3, 7, 8)]),
    "max pool, dilation": (lambda: nn.MaxPool2d(2, 1, dilation=2), [(1, 2, 6, 7)]),
    "max pool, ceil": (lambda: nn.MaxPool2d(2, ceil_mode=True), [(1, 2, 5, 7)]),
    "max pool after conv, ceil": (
        stack(lambda: nn.Conv2d(1, 2, 2), lambda: nn.MaxPool2d(2, ceil_mode=True)),
        [(1, 1, 6, 6)],
    ),
    "max pool 1d": (lambda: nn.MaxPool1d(3, 2), [(2, 3, 10)]),
    "avg pool": (lambda: nn.AvgPool2d(2), [(1, 3, 6, 5)]),
    "avg pool, padded": (lambda: nn.AvgPool2d(3, 2, 1), [(1, 2, 7, 6)]),
    "avg pool, what is within": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), [(1, 2, 7, 6)]),
    "avg pool, ceil": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), [(1, 2, 6, 8)]),
    "avg pool, ceil, what is within": (
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        [(1, 2, 6, 8)],
    ),
    "avg pool, divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), [(1, 2, 4, 4)]),
    "adaptive avg pool": (lambda: nn.AdaptiveAvgPool2d((3, 4)), [(1, 2, 7, 6)]),
    "global avg pool": (lambda: nn.AdaptiveAvgPool2d(1), [(2, 3, 5, 6)]),
    "adaptive max pool": (lambda: nn.AdaptiveMaxPool2d((3, 2)), [(1, 2, 7, 5)]),
    "adaptive pool 1d": (lambda: nn.AdaptiveAvgPool1d(4), [(1, 2, 7)]),
    "layer norm": (lambda: nn.LayerNorm((3, 4)), [(2, 3, 4)]),
    "layer norm without weights": (lambda: nn.LayerNorm(4, elementwise_affine=False), [(2, 3, 4)]),
    "group norm": (lambda: nn.GroupNorm(2, 6), [(2, 6, 3, 2)]),
    "instance norm": (lambda: nn.InstanceNorm2d(3, affine=True), [(2, 3, 4, 5)]),
    "softmax": (lambda: nn.Softmax(1), [(2, 5, 3)]),
    "log softmax": (lambda: nn.LogSoftmax(-1), [(2, 5)]),
    "residual": (Residual, [(1, 3, 6, 7)]),
    "attention": (Attention, [(2, 4, 6)]),
    "lstm": (Recurrent, [(1, 4, 5)]),
    "gru": (lambda: of(lambda x, gru: gru(x)[0])(nn.GRU(3, 4)), [(5, 2, 3)]),
    "written in place": (WritesInPlace, [(2, 3, 5)]),
    "views": (of(lambda x: x.permute(0, 2, 1).flip(1)[:, 1:, ::2].reshape(1, -1)), [(1, 5, 4)]),
    "expand": (of(lambda x: x[:, :1].expand(2, 3, 4) * 2), [(2, 3, 4)]),
    "cat and split": (
        of(lambda x: cnnx.cat([part.relu() for part in reversed(x.chunk(3, 1))], 1)),
        [(1, 7, 2)],
    ),
    "stack": (of(lambda x, y: cnnx.stack([x, y], 1)), [(2, 3), (2, 3)]),
    "two in, three out": (of(lambda x, y: (x + y, x, x @ y.T)), [(2, 3), (2, 3)]),
    "the same twice": (of(lambda x: (x.exp(), x.exp())), [(2, 3)]),
    "twice one output": (of(lambda x: (lambda y: (y, y.reshape(6)))(x.exp())), [(2, 3)]),
    "output and its use": (of(lambda x: (lambda y: (y, y.sin()))(x.cos())), [(2, 3)]),
    "pad": (of(lambda x: F.pad(x, (1, 2, 0, 3, 1, 0), value=-0.5)), [(1, 2, 3, 4)]),
    "pad below zero": (of(lambda x: F.pad(x, (-1, 2, 1, -2))), [(1, 2, 4, 4)]),
    "pad, nothing left": (of(lambda x: F.pad(x, (-4, 5)) + x.sum()), [(1, 4)]),
    "pad, replicate": (of(lambda x: F.pad(x, (2, 1, 1, 3), mode="replicate")), [(1, 2, 4, 3)]),
    "pad, circular": (of(lambda x: F.pad(x, (2, 1), mode="circular")), [(1, 2, 4)]),
    "upsample": (lambda: nn.Upsample(scale_factor=2), [(1, 2, 3, 4)]),
    "upsample, bilinear": (lambda: nn.Upsample((7, 5), mode="bilinear"), [(2, 2, 3, 4)]),
    "upsample, corners": (lambda: nn.Upsample(9, mode="linear", align_corners=True), [(1, 2, 4)]),
    "upsample, bicubic": (lambda: nn.Upsample(scale_factor=1.5, mode="bicubic"), [(1, 1, 6, 5)]),
    "downsample, antialias": (
        of(lambda x: F.interpolate(x, (3, 4), mode="bilinear", antialias=True)),
        [(1, 2, 9, 8)],
    ),
    "sums": (of(lambda x: (x.sum(1), x.mean((0, 2)), x.sum(), x.prod(2))), [(2, 3, 4)]),
    "extremes": (of(lambda x: (x.amax(1), x.amin((0, 1)), x.max(1).values)), [(2, 3, 4)]),
    "variances": (of(lambda x: (x.var(1), x.std((0, 2), correction=0), x.norm(dim=2))), [(2, 3, 4)]),
    "logsumexp": (of(lambda x: x.logsumexp(1)), [(2, 3, 4)]),
    "arithmetic": (
        of(lambda x, y: ((x - y) * 2 + y / (1 + y * y), 3 - x, cnnx.add(x, y, alpha=0.5))),
        [(2, 3, 1), (3, 4)],
    ),
    "comparisons": (
        of(lambda x, y: cnnx.where((x > y) & (x != 0), cnnx.maximum(x, y), cnnx.minimum(x, -y))),
        [(2, 3), (2, 3)],
    ),
    "powers": (of(lambda x: x.abs() ** 1.5 + x**2 + cnnx.atan2(x, x + 1)), [(2, 3)]),
    "remainders": (of(lambda x, y: (x.fmod(y), x.remainder(y), x // y)), [(4, 3), (4, 3)]),
    "truth of numbers": (
        of(lambda x: (x.round().bool() + (x > 1)).float() + (x / 2).bool().logical_not() + x.to(cnnx.bool)),
        [(2, 3)],
    ),
    "truth of numbers, copied": (of(lambda x: (x > 0).copy_(x).float() * 3), [(2, 3)]),
    "constants": (of(lambda x: x + cnnx.arange(3, dtype=cnnx.float32) * cnnx.ones(2, 1)), [(2, 3)]),
    "matrices": (of(lambda x, y: (x @ y, x[0] @ y)), [(2, 3, 4), (2, 4, 5)]),
    "numbers": (of(lambda x: x.sum() * 2), [(3,)]),
}
