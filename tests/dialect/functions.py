# Functions with gradients of one's own, hooks, schedules, clipping, more activations, losses and optimizers.
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.autograd import Function
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, MultiStepLR, ReduceLROnPlateau


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad_output


x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
x.register_hook(lambda grad: grad * 2)
Cube.apply(x).sum().backward()
print(x.grad)
d = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
print(torch.autograd.gradcheck(Cube.apply, (d,)))

v = torch.linspace(-2, 2, 5)
print(F.gelu(v), F.silu(v), F.elu(v), F.softplus(v), F.leaky_relu(v, 0.1), F.logsigmoid(v))
print(nn.GELU()(v), nn.SiLU()(v), nn.ELU()(v), nn.Softplus()(v), nn.Softmin(dim=0)(v), nn.PReLU()(v).detach())
p, t = torch.tensor([0.2, 0.9]), torch.tensor([0.0, 1.0])
print(nn.BCELoss()(p, t), nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))(p, t), nn.SmoothL1Loss()(p, t), nn.HuberLoss()(p, t))
print(nn.L1Loss()(p, t), nn.L1Loss(reduction="sum")(p, t), nn.MSELoss(reduction="none")(p, t))


def layer():
    linear = nn.Linear(2, 1)
    nn.init.constant_(linear.weight, 0.5)
    nn.init.zeros_(linear.bias)
    return linear


for make in (
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    lambda p: optim.RMSprop(p, lr=0.01),
    lambda p: optim.Adagrad(p, lr=0.1),
    lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    lambda p: optim.AdamW(p, lr=0.01),
    lambda p: optim.Adadelta(p),
    lambda p: optim.NAdam(p),
    lambda p: optim.RAdam(p, lr=0.01),
    lambda p: optim.Adamax(p),
    lambda p: optim.Rprop(p),
    lambda p: optim.ASGD(p),
):
    model = layer()
    optimizer = make(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.mse_loss(model(torch.ones(4, 2)), torch.full((4, 1), 3.0))
        loss.backward()
        optimizer.step()
    print(type(optimizer).__name__, f"{loss.item():.4f}", [f"{w:.4f}" for w in model.weight.flatten().tolist()])

optimizer = optim.SGD(layer().parameters(), lr=1.0)
plateau = ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=1)
for value in (1.0, 1.0, 1.0, 1.0):
    plateau.step(value)
print(f"{optimizer.param_groups[0]['lr']:.3f}")
for make in (
    lambda o: MultiStepLR(o, [1, 3], gamma=0.1),
    lambda o: ExponentialLR(o, 0.9),
    lambda o: CosineAnnealingLR(o, T_max=4),
):
    optimizer = optim.SGD(layer().parameters(), lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(4):
        optimizer.step()
        scheduler.step()
        rates.append(f"{scheduler.get_last_lr()[0]:.4f}")
    print(rates)
model = layer()
(model(torch.ones(1, 2)) * 100).sum().backward()
nn.utils.clip_grad_value_(model.parameters(), 5.0)
print(model.weight.grad, f"{nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0).item():.4f}", model.weight.grad)
