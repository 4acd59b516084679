# Stochastic weight averaging: the mean of the weights along the way, beside an exponential one.
import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.1307, 0.3081)])
trainset = datasets.MNIST("data", train=True, download=True, transform=transform)
testset = datasets.MNIST("data", train=False, download=True, transform=transform)
loader = DataLoader(trainset, batch_size=50)
test_loader = DataLoader(testset, batch_size=100)


def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)
    )


model = nn.Sequential(block(1, 6), block(6, 12), nn.Flatten(), nn.Linear(12 * 7 * 7, 10))
rng = np.random.default_rng(5)
with torch.no_grad():
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            m.weight.copy_(torch.from_numpy(rng.normal(size=m.weight.shape) / m.weight[0].numel() ** 0.5))
            if m.bias is not None:
                m.bias.zero_()

loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
epochs, swa_start = 6, 3
scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
swa_model = AveragedModel(model)
swa_scheduler = SWALR(optimizer, swa_lr=0.005, anneal_epochs=2, anneal_strategy="linear")
ema_model = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))


def evaluate(net):
    net.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for x, y in test_loader:
            out = net(x)
            loss += loss_fn(out, y).item() * len(y)
            correct += int((out.argmax(1) == y).sum())
    return f"loss {loss / len(testset):.4f} accuracy {correct / len(testset):.2f}"


for epoch in range(epochs):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        ema_model.update_parameters(model)
        total += loss.item()
    if epoch >= swa_start:
        swa_model.update_parameters(model)
        swa_scheduler.step()
    else:
        scheduler.step()
    print(f"epoch {epoch} loss {total / len(loader):.4f} lr {optimizer.param_groups[0]['lr']:.4f}")

print("last weights  ", evaluate(model))
print("before bn     ", evaluate(swa_model))
update_bn(loader, swa_model)
update_bn(loader, ema_model)
print("averaged      ", evaluate(swa_model), "of", swa_model.n_averaged.item())
print("exponentially ", evaluate(ema_model), "of", int(ema_model.n_averaged))
distance = sum((a - b).pow(2).sum() for a, b in zip(swa_model.module.parameters(), model.parameters())).sqrt()
print(f"distance {distance:.4f}")
print(list(swa_model.state_dict())[:4])
