# Grad-CAM: which part of an image speaks for a class, from hooks on the last convolution.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision import datasets, transforms

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
trainset = datasets.MNIST("data", train=True, download=True, transform=transform)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Linear(64, 10)

    def forward(self, x):
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class GradCAM:
    def __init__(self, model, layer):
        self.model = model
        self.handles = [
            layer.register_forward_hook(self.save_activation),
            layer.register_full_backward_hook(self.save_gradient),
        ]

    def save_activation(self, module, input, output):
        self.activation = output.detach()

    def save_gradient(self, module, grad_input, grad_output):
        self.gradient = grad_output[0].detach()

    def __call__(self, x, class_idx=None):
        logits = self.model(x)
        if class_idx is None:
            class_idx = logits.argmax(dim=1)
        score = logits.gather(1, class_idx.view(-1, 1)).sum()
        self.model.zero_grad()
        score.backward(retain_graph=True)
        alpha = self.gradient.mean(dim=(2, 3), keepdim=True)
        saliency = F.relu((alpha * self.activation).sum(1, keepdim=True))
        saliency = F.interpolate(saliency, size=x.shape[-2:], mode="bilinear", align_corners=False)
        low, high = saliency.amin(dim=(2, 3), keepdim=True), saliency.amax(dim=(2, 3), keepdim=True)
        return (saliency - low).div(high - low + 1e-8).data, logits

    def remove(self):
        for handle in self.handles:
            handle.remove()


model = Net()
rng = np.random.default_rng(21)
for p in model.parameters():
    values = rng.standard_normal(p.shape) * (2 / p[0].numel()) ** 0.5 if p.dim() > 1 else np.zeros(p.shape)
    p.data = torch.as_tensor(values, dtype=torch.float32)

X = torch.stack([image for image, _ in trainset])
y = torch.tensor([label for _, label in trainset])
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for batch, target in zip(X.split(60), y.split(60)):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(batch), target)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1} loss {loss.item():.4f}")

model.eval()
cam = GradCAM(model, model.features[-2])
maps, logits = cam(X[:6])
print(maps.shape, cam.gradient.shape, cam.activation.shape, maps.requires_grad, logits.requires_grad)
for i in range(6):
    row, column = divmod(int(maps[i, 0].flatten().argmax()), 28)
    print(f"{i}: strongest at {row} {column}, mean {maps[i].mean():.3f}")
other, _ = cam(X[:6], class_idx=torch.full((6,), 3))
inside = X[:6] > 0
print(f"on the digits {maps[inside].mean():.3f}, beside them {maps[~inside].mean():.3f}, for a 3 {other.mean():.3f}")
smaller = F.interpolate(maps, scale_factor=0.5, mode="nearest")
print(smaller.shape, f"{F.interpolate(smaller, size=(28, 28), mode='bicubic', align_corners=True).mean():.3f}")
cam.remove()
del cam.activation
model(X[:1])
print(hasattr(cam, "activation"), len(model.features[-2]._forward_hooks))
