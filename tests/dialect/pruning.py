# Weights pruned by their size: one layer, then all layers together, some training, and the masks for good.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.prune as prune
from torchvision import datasets

rng = np.random.default_rng(12)


class LeNet(nn.Module):
    def __init__(self):
        super(LeNet, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.conv2 = nn.Conv2d(6, 12, 3)
        self.fc1 = nn.Linear(12 * 5 * 5, 60)
        self.fc2 = nn.Linear(60, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, int(x.nelement() / x.shape[0]))
        return self.fc2(F.relu(self.fc1(x)))


def sparsity(module):
    return 100.0 * float(torch.sum(module.weight == 0)) / float(module.weight.nelement())


def report(model):
    total, zeros = 0, 0
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            print("Sparsity in {}.weight: {:.2f}%".format(name, sparsity(module)))
            total += module.weight.nelement()
            zeros += int((module.weight == 0).sum())
    print("Global sparsity: {:.2f}%".format(100.0 * zeros / total))


def fit(model, steps, lr=0.05):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for step in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        correct = (model(test_images).argmax(dim=1) == test_labels).float().mean().item()
    print(f"After {steps} steps: loss {loss.item():.4f}, test accuracy {correct:.2f}")


train, test = (datasets.MNIST("data", train=t, download=True) for t in (True, False))
images, labels = train.data.unsqueeze(1).float().div(255), train.targets
test_images, test_labels = test.data.unsqueeze(1).float().div(255), test.targets
model = LeNet()
model.load_state_dict(
    {
        k: torch.tensor(rng.normal(0, 1 / np.sqrt(v[0].numel()), tuple(v.shape)), dtype=torch.float32)
        for k, v in model.state_dict().items()
    }
)
fit(model, 25)

module = model.conv1
prune.l1_unstructured(module, name="weight", amount=0.3)
prune.l1_unstructured(module, "bias", amount=3)
print([name for name, _ in module.named_parameters()], [name for name, _ in module.named_buffers()])
print(module.bias.data, len(module._forward_pre_hooks), prune.is_pruned(model))
prune.ln_structured(module, name="weight", amount=0.5, n=2, dim=0)
print(module.weight_mask.flatten(1).any(1).tolist())
report(model)

parameters_to_prune = (
    (model.conv1, "weight"),
    (model.conv2, "weight"),
    (model.fc1, "weight"),
    (model.fc2, "weight"),
)
prune.global_unstructured(parameters_to_prune, pruning_method=prune.L1Unstructured, amount=0.6)
report(model)
fit(model, 10, lr=0.02)
report(model)
for module, name in parameters_to_prune:
    prune.remove(module, name)
prune.remove(model.conv1, "bias")
report(model)
print(prune.is_pruned(model), list(model.state_dict()))
