# Tensor functions as scripts use them, with nothing random in what is printed.
import copy
import pickle
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

# creation and conversion
print(torch.tensor([1, 2, 3]).to("cpu", torch.float32), torch.tensor([1.5]).int(), torch.tensor([1, 0]).bool())
print(torch.zeros_like(torch.ones(2, 3)), torch.ones(2, 3, dtype=torch.int64), torch.empty(2, 0).shape)
print(torch.full((2,), 3), torch.linspace(0, 1, 3), torch.arange(0, 1, 0.25), torch.eye(2)[torch.tensor([1, 0])])
print(torch.from_numpy(np.ones(2)), torch.as_tensor(np.ones(2)), torch.Tensor([1, 2]), torch.LongTensor([1]))
print(np.asarray(torch.ones(2)), np.array([torch.tensor(1.0), torch.tensor(2.0)]).shape, float(torch.tensor(1.5)))
print(torch.randint(0, 10, (3,)).dtype, torch.rand(2).shape, torch.randperm(5).sort()[0], torch.bernoulli(torch.ones(2)))
print(torch.tensor([1.0, float("nan")]), torch.tensor([]), torch.tensor(1e10), torch.tensor([1e-8, 1.0]))
print(torch.device("cuda:0"), torch.float32, torch.Size([1, 2]), torch.get_default_dtype())
print(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij"))

# formatting
print(f"{torch.tensor(0.123456):.3f}", "%.2f" % torch.tensor(1.5), f"{torch.tensor(3)} {torch.tensor(0.5)} {torch.ones(2)}")
print(f"{torch.tensor(7):3d}|{torch.tensor(0.5).item():.1%}|{torch.tensor(2.5):>8.2f}|{torch.tensor(True)}")

# attributes and views
a = torch.ones(2, 2)
a += 1
a[0] = 5
a[:, 1] *= 2
print(a, a.T, a.t(), a.tolist(), a.numpy())
print(len(a), a.ndim, a.size(), a.size(-1), a.shape[0], a.nelement(), a.element_size(), a.type(), a.is_cuda, a.device)
x = torch.ones(2, 3)
print(x.view(-1), x.view(3, -1).shape, x.reshape(6), x.permute(1, 0).shape, x.unsqueeze(0).squeeze().shape)
print(x.expand(2, 2, 3).shape, x.repeat(2, 1).shape, x.flatten().shape, x.contiguous().shape, x.view_as(x).shape)
print(torch.tensor([1, 2, 3])[1:], torch.tensor([[1, 2], [3, 4]])[:, 0], torch.tensor([1, 2, 3])[[0, 2]])
print(torch.tensor([1, 2])[None].shape, torch.tensor([[1, 2]])[..., -1], torch.tensor([1, 2, 3])[torch.tensor([True, False, True])])
print(torch.cat((a, a), 1).shape, torch.vstack((a, a)).shape, torch.hstack((a, a)).shape, torch.stack([a, a]).shape)
print(torch.chunk(a, 2)[0].shape, torch.split(a, 1)[1], torch.roll(torch.tensor([1, 2, 3]), 1), torch.tensor([1, 2]).flip(0))

# arithmetic and reductions
print(torch.ones(2).add_(1), torch.add(torch.ones(2), 2, alpha=3), torch.ones(2).pow(2), torch.zeros(2).exp().log())
print(torch.rsqrt(torch.ones(1)), torch.floor(torch.tensor(1.5)), torch.ones(2).norm(), torch.sign(torch.tensor([-2.0])))
print(torch.matmul(a, a), torch.mm(a, a), a @ a, a.mv(torch.ones(2)), torch.dot(torch.ones(2), torch.ones(2)))
print(torch.tensor([[1, 2], [3, 4]]).sum(), torch.tensor([[1.0, 2], [3, 4]]).mean(0), torch.tensor([[1.0, 2], [3, 4]]).std())
print(torch.argmax(torch.tensor([[1, 2], [4, 3]]), dim=-1), torch.softmax(torch.tensor([1.0, 2.0]), dim=0))
print(torch.isnan(a).any(), (a > 2).all(), torch.allclose(a, a), torch.equal(a, a), (a == a).sum().item(), a.trace(), a.diag())
print(torch.where(torch.tensor([True, False]), 1.0, 0.0), torch.clamp(torch.tensor([-1.0, 2.0]), 0, 1), torch.outer(a[0], a[1]))
print(torch.nonzero(torch.tensor([0, 1, 1])), torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0], [1]])))
print(torch.masked_select(torch.tensor([1, 2]), torch.tensor([True, False])), torch.ones(2).masked_fill(torch.tensor([True, False]), 9.0))
print(torch.bincount(torch.tensor([0, 1, 1])), torch.cumsum(torch.tensor([1, 2, 3]), 0), torch.prod(torch.tensor([1, 2, 3])))
print(torch.unique(torch.tensor([1, 1, 2]), return_counts=True), torch.tensor([3, 1, 2]).argsort(), max(torch.tensor([1.0, 3.0])))
values, indices = torch.arange(12.0).reshape(3, 4).topk(2, dim=1)
print(values, indices, torch.max(torch.tensor([[1, 2]]), dim=1).indices, torch.tensor([[1.0, 2.0]]).max(1)[1])
print(torch.logical_and(torch.tensor([True]), torch.tensor([False])), ~torch.tensor([True]), torch.tensor([1]) | torch.tensor([2]))
print(sum([torch.tensor(1.0), torch.tensor(2.0)]), int(torch.tensor(3)), bool(torch.tensor(1)), round(float(torch.tensor(1.234)), 2))

# gradients
x = torch.tensor(2.0, requires_grad=True)
y = x**3 + torch.sin(x)
y.backward()
print(x.grad, x.is_leaf, y.grad_fn is not None)
x.grad.zero_()
t = torch.ones(3)
t.requires_grad = True
y = t * 2
y.retain_grad()
y.sum().backward()
print(x.grad, y.grad, t.grad)
w = torch.ones(3, requires_grad=True)
(w**2).sum().backward()
with torch.no_grad():
    w -= 0.1 * w.grad
    w.grad = None
print(w.requires_grad, w.grad, w.detach())


@torch.no_grad()
def double(values):
    return values * 2


print(double(w).requires_grad, torch.is_grad_enabled())
with torch.inference_mode():
    print((w + 1).requires_grad)

# modules, losses, optimizers
print(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Softmax(dim=1), nn.BatchNorm2d(2)))
print(nn.Sequential(OrderedDict([("a", nn.Linear(1, 1)), ("b", nn.ReLU())])), nn.Linear(2, 3).weight.shape, nn.Linear(2, 3).in_features)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)])
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x * self.scale


def constant(module):
    if isinstance(module, nn.Linear):
        nn.init.constant_(module.weight, 0.5)
        nn.init.zeros_(module.bias)


net = Net()
net.apply(constant)
print(net, net(torch.ones(1, 2)).detach(), list(net.state_dict()), list(dict(net.named_children())), len(list(net.modules())))
print(copy.deepcopy(net)(torch.ones(1, 2)).tolist(), pickle.loads(pickle.dumps(torch.ones(2))), next(net.parameters()).device)
print(nn.CrossEntropyLoss(reduction="none")(torch.eye(2), torch.tensor([0, 1])), F.cross_entropy(torch.eye(2), torch.eye(2)))
print(nn.CrossEntropyLoss(label_smoothing=0.1)(torch.eye(2), torch.tensor([0, 1])), F.mse_loss(torch.ones(2), torch.zeros(2)))
print(F.l1_loss(torch.ones(2), torch.zeros(2)), F.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2)))
print(F.one_hot(torch.tensor([0, 2]), num_classes=3), F.avg_pool2d(torch.ones(1, 1, 4, 4), 2), F.pad(torch.ones(2, 2), (1, 1)))
for p in net.layers[0].parameters():
    p.requires_grad = False
print([p.requires_grad for p in net.parameters()])
optimizer = optim.AdamW(filter(lambda p: p.requires_grad, net.parameters()), lr=1e-3, weight_decay=0.01)
scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
loss = net(torch.ones(3, 2)).pow(2).mean()
loss.backward()
print(f"{torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0):.4f}")
optimizer.step()
scheduler.step()
optimizer.zero_grad(set_to_none=True)
print(scheduler.get_last_lr(), optimizer.param_groups[0]["lr"], net.layers[1].weight, net.layers[1].weight.grad)
print(net.double()(torch.ones(1, 2, dtype=torch.float64)).dtype, net.eval().training, net.train().training)

# data
data = TensorDataset(torch.arange(4.0), torch.arange(4))
print(next(iter(DataLoader(data, batch_size=2))), len(DataLoader(data, 3)), len(ConcatDataset([data, Subset(data, [0, 1])])))
