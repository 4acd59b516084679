"""S7: a small CNN learns from digits that are flipped and rotated anew in every epoch.

Augmentation makes many images of one; here it is even laid on the test images, as a
teaching text does it, and the accuracy on images as they are stands beside that. A
mirrored 2 looks much like a 5, so flipping costs digits some accuracy: an augmentation
has to leave the class as it is (see samples.png and the confusions of 2 and 5). The
weights are saved; a second call finds the file and does not train again.

The text prints a test accuracy of 0.9705, on flipped and rotated test images.

    python examples/s07_cnn_augmented.py --data-dir path/to/mnist
"""

from __future__ import annotations

from common import accuracy, confusion, draw_curves, mnist, predict, report, seconds_of, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import plot, training, transforms
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


args = start(__doc__, epochs=5, needs_mnist=True)
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
weights = args.out / ("quick.safetensors" if args.quick else "weights.safetensors")
seconds: list[float] = []
if weights.exists():
    print(f"{weights} is there: no training (delete it to train)")
    model.load_state_dict(cnnx.load(weights))
else:
    print(f"{len(train.dataset):,} images to train; the {len(test.dataset):,} test images are 'val' below")
    history = cnnx.fit(
        model,
        train,
        validation=test,
        epochs=args.epochs,
        optimizer=optim.Adam(model.parameters(), lr=0.001),
        loss=nn.CrossEntropyLoss(),  # else fit would draw an image, a random one, to look at its label
        metrics=[training.accuracy],
    )
    seconds = seconds_of(history, train)
    cnnx.save(model.state_dict(), weights)
    print(f"saved in {weights}")
    draw_curves(history, args.out / "curves.png", "S7: a small CNN on flipped and rotated digits", "test")
labels, classes = predict(args, model, test)
test_accuracy = accuracy(labels, classes)
clean_labels, clean_classes = predict(args, model, clean)

samples, numbers = next(iter(test))
titles = [str(number) for number in numbers[:16].tolist()]
plot.images(
    samples[:16], titles, args.out / "samples.png", title="S7: test digits, flipped and rotated", columns=8
)
plot.confusion_matrix(
    confusion(labels, classes),
    path=args.out / "confusion.png",
    title=f"S7: {test_accuracy:.2%} of {len(labels):,} flipped and rotated digits",
)
report(
    args,
    [
        ("test accuracy, flipped and rotated", 0.9705, test_accuracy),
        ("test accuracy, images as they are", None, accuracy(clean_labels, clean_classes)),
    ],
    seconds,
)
