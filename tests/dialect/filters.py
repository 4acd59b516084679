# A convolution with its weight set by hand, and tensor functions without any net; nothing random.
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

image = np.outer(np.linspace(0, 1, 12), np.linspace(1, 0, 9)) ** 2
tensor = torch.from_numpy(image).float().unsqueeze(0)
conv = nn.Conv2d(1, 1, kernel_size=3, stride=1, padding=0)
weight = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).view(1, 1, 3, 3)
conv.weight = nn.Parameter(weight)
conv.bias = nn.Parameter(torch.zeros(1))
output = conv(tensor)
print(tensor.shape, output.shape, output.requires_grad)
down = F.conv2d(tensor[None], weight.transpose(2, 3))
with torch.no_grad():
    magnitude = torch.sqrt(output**2 + down[0] ** 2)
    conv.weight[0, 0, 1] *= 2
    conv.bias.fill_(0.5)
    conv.weight.data = conv.weight.data.clone()
print(conv.weight.detach().numpy().tolist(), conv.bias)
print([f"{value:.6f}" for value in magnitude.flatten()[:5]])
print(torch.round(magnitude[0, :2, :3] * 1e4))
fig, axes = plt.subplots(1, 3)
axes[0].imshow(tensor.squeeze(), cmap="gray")
axes[1].imshow(output.squeeze().detach().numpy(), cmap="gray")
axes[2].imshow(magnitude[0])
fig.savefig("filters.png")
pooled = nn.AvgPool2d(2)(tensor)
x = torch.arange(24).reshape(2, 3, 4)
print(pooled.shape, x[:, 1:, ::2], x[x > 20], x.float().mean(dim=(1, 2)), x[0].T.shape, x.numel(), x.dim())
print(torch.where(x % 2 == 0, x, -x).sum(), x.max(), x.view(-1)[-3:].tolist(), (x.float() / 7).std().item())
a = torch.eye(3, requires_grad=True)
b = (a @ torch.ones(3, 2)).pow(2).sum()
b.backward()
print(b.item(), a.grad, torch.allclose(a.grad, torch.full((3, 3), 4.0)))
values, indices = torch.sort(torch.tensor([3.0, 1.0, 2.0]))
print(values, indices, torch.linspace(0, 1, 5), torch.cat([values, values]).unique())
