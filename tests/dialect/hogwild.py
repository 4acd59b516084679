# Hogwild: workers that update one set of weights without a lock, as threads of one process.
import argparse
import copy
import threading

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torchvision import datasets, transforms

parser = argparse.ArgumentParser(description="MNIST, Hogwild")
parser.add_argument("--batch-size", type=int, default=20)
parser.add_argument("--test-batch-size", type=int, default=100)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--lr", type=float, default=0.03)
parser.add_argument("--momentum", type=float, default=0.5)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--num-workers", type=int, default=3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 12, kernel_size=5)
        self.conv2_drop = nn.Dropout2d(0.1)
        self.fc1 = nn.Linear(192, 40)
        self.fc2 = nn.Linear(40, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 192)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, p=0.1, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def train(rank, args, shared, dataset, losses):
    model = copy.deepcopy(shared)  # gradients of its own, and the weights as they were a moment ago
    generator = torch.Generator().manual_seed(args.seed + rank)
    loader = torch.utils.data.DataLoader(dataset, batch_size=args.batch_size, shuffle=True, generator=generator)
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
    model.train()
    for epoch in range(1, args.epochs + 1):
        for data, target in loader:
            model.load_state_dict(shared.state_dict())
            before = [p.detach().clone() for p in model.parameters()]
            optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for weight, p, old in zip(shared.parameters(), model.parameters(), before):
                    weight += p - old
            losses[rank].append(loss.item())


@torch.no_grad()
def test(args, model, dataset):
    loader = torch.utils.data.DataLoader(dataset, batch_size=args.test_batch_size)
    model.eval()
    test_loss, correct = 0, 0
    for data, target in loader:
        output = model(data)
        test_loss += F.nll_loss(output, target, reduction="sum").item()
        correct += output.max(1)[1].eq(target).sum().item()
    return test_loss / len(dataset), correct / len(dataset)


if __name__ == "__main__":
    args = parser.parse_args([])
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    dataset1 = datasets.MNIST("data", train=True, download=True, transform=transform)
    dataset2 = datasets.MNIST("data", train=False, transform=transform)
    torch.manual_seed(args.seed)
    model = Net()
    before = copy.deepcopy(model.state_dict())
    print("Before: loss {:.2f}".format(test(args, model, dataset2)[0]))

    losses = {rank: [] for rank in range(args.num_workers)}
    workers = []
    for rank in range(args.num_workers):
        worker = threading.Thread(target=train, args=(rank, args, model, dataset1, losses))
        worker.start()
        workers.append(worker)
    for worker in workers:
        worker.join()

    print("Steps of each worker:", [len(losses[rank]) for rank in sorted(losses)])
    print("All weights moved:", all(not torch.equal(before[k], v) for k, v in model.state_dict().items()))
    test_loss, accuracy = test(args, model, dataset2)
    print("Test set: loss below 1.5: {}, accuracy {:.2f}".format(test_loss < 1.5, accuracy))
