"""S4: two 3x3 convolutions, one pooling, Adadelta with a learning rate of 0.1.

The first 8,000 images of MNIST's test file train, its other 2,000 validate; one order serves all epochs. The
teaching text prints the loss of each epoch's last batch, 64 images: 0.663, 0.442, 0.327, 0.249, 0.195, 0.156,
0.124, 0.102, 0.085, 0.073.

    python examples/s04_cnn_adadelta.py --data-dir path/to/mnist
"""

from __future__ import annotations

from training import fit, mnist, report, start

import cnnx
import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader, Subset

args = start(__doc__, epochs=10)
images = mnist(args, train=False, transform=transforms.ToTensor())
n_train = len(images) * 8 // 10
order = cnnx.randperm(n_train)
train = DataLoader(Subset(images, order), batch_size=128)
validation = DataLoader(Subset(images, range(n_train, len(images))), batch_size=500)

model = nn.Sequential(
    nn.Conv2d(1, 32, kernel_size=3),
    nn.ReLU(),
    nn.Conv2d(32, 64, kernel_size=3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(9216, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
    nn.LogSoftmax(dim=1),
)
optimizer = optim.Adadelta(model.parameters(), lr=0.1)
history = fit(args, model, nn.NLLLoss(), optimizer, train, validation)

text = [0.663, 0.442, 0.327, 0.249, 0.195, 0.156, 0.124, 0.102, 0.085, 0.073]
losses = [
    (f"loss of the last batch, epoch {epoch}", printed, own)
    for epoch, (printed, own) in enumerate(zip(text, history.last_batch_loss, strict=False), 1)
]
losses[-1] = ("loss of the last batch", *losses[-1][1:])
plot.curves(history.curves(), args.out / "curves.png", title="S4: CNN, Adadelta")
plot.filters(model[0].weight, args.out / "filters.png", title="S4: first convolution")
report(args, [*losses, ("validation accuracy", None, history.accuracy["validation"][-1])], history.seconds)
