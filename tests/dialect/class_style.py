# A net as a class, trained on MNIST as PyTorch's beginners write it.
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torchvision
import torchvision.transforms as transforms
from torch.utils.data import DataLoader
from tqdm import tqdm

device = torch.device(
    "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
)
print(f"Using {device} device")
torch.manual_seed(42)

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
trainset = torchvision.datasets.MNIST(root="./data", train=True, download=True, transform=transform)
testset = torchvision.datasets.MNIST(root="./data", train=False, download=True, transform=transform)
trainloader = DataLoader(trainset, batch_size=64, shuffle=True)
testloader = DataLoader(testset, batch_size=64, shuffle=False)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(in_channels=1, out_channels=4, kernel_size=3, stride=1, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(4 * 14 * 14, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = x.view(-1, 4 * 14 * 14)
        x = self.dropout(F.relu(self.fc1(x)))
        return self.fc2(x)


model = Net().to(device)
print(model)
print(sum(p.numel() for p in model.parameters() if p.requires_grad), "parameters")
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)

for epoch in range(2):
    model.train()
    running_loss = 0.0
    for i, (images, labels) in enumerate(tqdm(trainloader, disable=True)):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    print("Epoch %d, loss %.3f" % (epoch + 1, running_loss / len(trainloader)))

dataiter = iter(testloader)
images, labels = next(dataiter)
print(images.shape, labels.shape, images.dtype, labels.dtype)

correct = 0
total = 0
class_correct = [0.0 for _ in range(10)]
model.eval()
with torch.no_grad():
    for images, labels in testloader:
        images, labels = images.to(device), labels.to(device)
        outputs = model(images)
        _, predicted = torch.max(outputs.data, 1)
        total += labels.size(0)
        correct += (predicted == labels).sum().item()
        c = (predicted == labels).squeeze()
        for k in range(len(labels)):
            class_correct[labels[k]] += c[k].item()
print("Accuracy on the %d test images: %d %%" % (total, 100 * correct / total))
assert sum(class_correct) == correct

PATH = "./net.pth"
torch.save(model.state_dict(), PATH)
net = Net().to(device)
net.load_state_dict(torch.load(PATH, weights_only=False))
net.eval()
with torch.no_grad():
    assert torch.equal(net(images), model(images))
probabilities = F.softmax(net(images[:1]), dim=1)
top_p, top_class = probabilities.topk(3, dim=1) if hasattr(probabilities, "topk") else probabilities.max(1)
print("accuracy:", (net(images).argmax(1) == labels).float().mean().item() <= 1)
