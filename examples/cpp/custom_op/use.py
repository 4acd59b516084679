"""Trains a net with an activation written in C++: `PYTHONPATH=build python use.py`."""

import squareplus

import cnnx
from cnnx import nn
from cnnx.autograd import gradcheck, gradgradcheck


class Squareplus(nn.Module):
    """The op as a layer."""

    def forward(self, x):
        """Of any shape."""
        return squareplus.squareplus(x, b=4.0)


cnnx.manual_seed(0)
x = cnnx.randn(3, 5, dtype=cnnx.float64, requires_grad=True)
assert gradcheck(squareplus.squareplus, (x,)), "the gradient is not that of the op"
assert gradgradcheck(squareplus.squareplus, (x,)), "the gradient's gradient is not"

images = cnnx.randn(64, 1, 12, 12)
labels = (images.mean((1, 2, 3)) > 0).to(cnnx.int64)
model = nn.Sequential(nn.Conv2d(1, 8, 3), Squareplus(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(200, 2))
optimizer = cnnx.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.4f} after 60 steps")
assert loss.item() < 0.1

for wrong, b, expected in ((x, -1.0, ValueError), (labels, 4.0, TypeError), (None, 4.0, TypeError)):
    error = None
    try:
        squareplus.squareplus(wrong, b)
    except Exception as raised:
        error = raised
    assert type(error) is expected, error
    print(f"{expected.__name__}: {str(error).splitlines()[0]}")
