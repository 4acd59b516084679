"""S7: a small CNN on flipped and rotated digits, also those of the test; weights saved, and loaded if there.

The teaching text prints a test accuracy of 0.9705, on flipped and rotated test images.

    python examples/s07_cnn_augmented.py --data-dir path/to/mnist
"""

from __future__ import annotations

from training import confusion, evaluate, fit, mnist, predict, report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader


class SmallCNN(nn.Module):
    """Four convolutions of 4 and 8 channels, pooled after each pair, then two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 8, 5, padding=1)
        self.conv4 = nn.Conv2d(8, 8, 5, padding=1)
        self.fc1 = nn.Linear(200, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: cnnx.Tensor) -> cnnx.Tensor:
        """Logits (N, 10) of images (N, 1, 28, 28)."""
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x))
        x = F.max_pool2d(F.relu(self.conv4(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


args = start(__doc__, epochs=5)
plain = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
augmented = transforms.Compose(
    [
        transforms.RandomHorizontalFlip(0.5),
        transforms.RandomRotation(10),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
    ]
)
train = DataLoader(mnist(args, train=True, transform=augmented), batch_size=64, shuffle=True)
test = DataLoader(mnist(args, train=False, transform=augmented), batch_size=500)
clean = DataLoader(mnist(args, train=False, transform=plain), batch_size=500)

model = SmallCNN().to(args.device)
loss_function = nn.CrossEntropyLoss()
weights = args.out / "weights.safetensors"
seconds: list[float] = []
if weights.exists():
    print(f"{weights} is there: no training (delete it to train)")
    model.load_state_dict(cnnx.load(weights))
else:
    optimizer = optim.Adam(model.parameters(), lr=0.001)
    history = fit(args, model, loss_function, optimizer, train, test, "test")
    seconds = history.seconds
    cnnx.save(model.state_dict(), weights)
    plot.curves(history.curves(), args.out / "curves.png", title="S7: small CNN, flipped and rotated digits")
labels, classes = predict(args, model, test)
_, clean_accuracy = evaluate(args, model, loss_function, clean)

samples, numbers = next(iter(test))
titles = [str(number) for number in numbers[:16].tolist()]
plot.images(samples[:16], titles, args.out / "samples.png", title="S7: flipped and rotated")
plot.confusion_matrix(confusion(labels, classes), path=args.out / "confusion.png")
report(
    args,
    [
        ("test accuracy, flipped and rotated", 0.9705, (labels == classes).float().mean().item()),
        ("test accuracy, images as they are", None, clean_accuracy),
    ],
    seconds,
)
