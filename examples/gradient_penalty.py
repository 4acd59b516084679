"""WGAN-GP: a generator learns to draw digits from a critic whose slope is held near 1.

Two nets play against each other. The critic scores pictures so that real digits and
generated ones come out as far apart as possible; the generator moves its pictures
towards higher scores. Scores could be stretched without end, so the critic's slope must
stay near 1, and that takes a derivative of a derivative: its gradient in the picture is
computed with create_graph=True, and how far its length is from 1 is differentiated
again (Gulrajani et al., "Improved Training of Wasserstein GANs", 2017). Then the
difference of the mean scores estimates a distance between digits and pictures, which
falls as these get better, where the losses of other GANs say nothing. generated.png
shows real digits above pictures that nobody wrote.

    python examples/gradient_penalty.py
"""

from __future__ import annotations

import time

from common import report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import autograd, datasets, plot, transforms
from cnnx.utils.data import DataLoader

CRITIC_STEPS, NOISE = 3, 16

args = start(__doc__, epochs=60)
digits = datasets.Digits(train=None, transform=transforms.ToTensor())  # 1,797 images, their levels / 16
loader = DataLoader(digits, batch_size=64, shuffle=True, drop_last=True)

critic = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.LeakyReLU(0.2),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.LeakyReLU(0.2),
    nn.Flatten(),
    nn.Linear(32 * 16, 1),
).to(args.device)
generator = nn.Sequential(
    nn.Linear(NOISE, 32 * 16),
    nn.ReLU(),
    nn.Unflatten(1, (32, 4, 4)),
    nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 1, 3, padding=1),
    nn.Sigmoid(),
).to(args.device)
critic_optimizer = optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
generator_optimizer = optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
print(
    f"{len(digits):,} digits; parameters: critic {sum(p.numel() for p in critic.parameters()):,}, "
    f"generator {sum(p.numel() for p in generator.parameters()):,}"
)


def generate(count: int) -> cnnx.Tensor:
    return generator(cnnx.randn(count, NOISE, device=args.device))


def gradient_penalty(real: cnnx.Tensor, made: cnnx.Tensor) -> tuple[cnnx.Tensor, cnnx.Tensor]:
    """The mean of (|slope| - 1)^2 at points between real and made images, and the mean slope."""
    share = cnnx.rand(len(real), 1, 1, 1, device=args.device)
    between = (share * real + (1 - share) * made).requires_grad_()
    (slope,) = autograd.grad(critic(between).sum(), between, create_graph=True)
    length = slope.flatten(1).norm(2, dim=1)
    return ((length - 1) ** 2).mean(), length.mean()


begin = time.perf_counter()
distances: list[float] = []
slopes: list[float] = []
for epoch in range(1, args.epochs + 1):
    sums, steps = [0.0, 0.0], 0
    for step, (real, _) in enumerate(loader):
        real = real.to(args.device)
        made = generate(len(real)).detach()
        penalty, slope = gradient_penalty(real, made)
        distance = critic(real).mean() - critic(made).mean()
        critic_optimizer.zero_grad()
        (10 * penalty - distance).backward()
        critic_optimizer.step()
        sums = [sums[0] + distance.item(), sums[1] + slope.item()]
        steps += 1
        if step % CRITIC_STEPS == CRITIC_STEPS - 1:
            generator_optimizer.zero_grad()
            (-critic(generate(len(real))).mean()).backward()
            generator_optimizer.step()
    distances.append(sums[0] / steps)
    slopes.append(sums[1] / steps)
    if epoch % max(1, args.epochs // 10) == 0:
        print(
            f"epoch {epoch:3d}/{args.epochs}  distance {distances[-1]:.3f}  critic's slope {slopes[-1]:.3f}"
        )
seconds = time.perf_counter() - begin

with cnnx.no_grad():
    pictures = cnnx.cat([digits.data[:10].unsqueeze(1) / 16, generate(30).cpu()])
smooth = F.interpolate(pictures, scale_factor=6, mode="bicubic").clamp(0, 1)  # 8x8, as seen from afar
plot.images(
    smooth,
    ["real"] * 10 + ["generated"] * 30,
    args.out / "generated.png",
    title="WGAN-GP: digits that nobody wrote, below ten that somebody wrote",
    columns=10,
)
plot.curves(
    {"estimated distance": {"digits to pictures": distances}, "mean slope": {"of the critic": slopes}},
    args.out / "curves.png",
    title="WGAN-GP: the pictures come nearer, the slope stays at 1",
)
report(
    args,
    [
        ("last distance over the largest", None, distances[-1] / max(distances)),
        ("slope of the critic, last epoch", 1, slopes[-1]),
    ],
    [seconds / args.epochs] * args.epochs,
)
