# Knowledge distillation: a small student learns from the softened answers of a larger teacher.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torchvision import datasets, transforms

transforms_mnist = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean=[0.13], std=[0.31])])
train_dataset = datasets.MNIST(root="./data", train=True, download=True, transform=transforms_mnist)
test_dataset = datasets.MNIST(root="./data", train=False, download=True, transform=transforms_mnist)
train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=60, shuffle=False)
test_loader = torch.utils.data.DataLoader(test_dataset, batch_size=60, shuffle=False)
device = "cuda" if torch.cuda.is_available() else "cpu"


class Teacher(nn.Module):
    def __init__(self, num_classes=10):
        super(Teacher, self).__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(12, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2, stride=2),
        )
        self.classifier = nn.Sequential(nn.Linear(784, 48), nn.ReLU(), nn.Linear(48, num_classes))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class Student(nn.Module):
    def __init__(self, num_classes=10):
        super(Student, self).__init__()
        self.net = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 16), nn.ReLU(), nn.Linear(16, num_classes))

    def forward(self, x):
        return self.net(x)


def seeded(model, seed):
    rng = np.random.RandomState(seed)
    weights = model.state_dict()
    for key in weights:
        bound = 1 / np.sqrt(weights[key][0].numel()) if weights[key].ndim > 1 else 0.0
        weights[key] = torch.from_numpy(rng.uniform(-bound, bound, weights[key].shape).astype(np.float32))
    print(model.load_state_dict(weights))
    return model.to(device)


def train(model, epochs, learning_rate, loss_of):
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    for epoch in range(epochs):
        running_loss = 0.0
        for inputs, labels in train_loader:
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = loss_of(inputs, model(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
    print(f"Epoch {epoch + 1}/{epochs}, Loss: {running_loss / len(train_loader):.4f}")


def test(model):
    model.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for inputs, labels in test_loader:
            _, predicted = torch.max(model(inputs.to(device)).data, 1)
            total += labels.size(0)
            correct += (predicted == labels.to(device)).sum().item()
    print(f"Test Accuracy: {correct / total:.2f}")


ce_loss, kl_loss = nn.CrossEntropyLoss(), nn.KLDivLoss(reduction="batchmean")
teacher = seeded(Teacher(num_classes=10), 0)
train(teacher, 8, 0.005, lambda inputs, outputs, labels: ce_loss(outputs, labels))
test(teacher)
teacher.eval()
for parameter in teacher.parameters():
    parameter.requires_grad_(False)
print("Teacher:", sum(p.numel() for p in teacher.parameters()), "Student:", sum(p.numel() for p in Student().parameters()))

T, alpha = 4.0, 0.75


def distilled(inputs, student_logits, labels):
    with torch.no_grad():
        teacher_logits = teacher(inputs)
    soft_targets = F.softmax(teacher_logits / T, dim=-1)
    soft_prob = F.log_softmax(student_logits / T, dim=-1)
    return alpha * T**2 * kl_loss(soft_prob, soft_targets) + (1 - alpha) * ce_loss(student_logits, labels)


alone, student = seeded(Student(), 1), seeded(Student(), 1)
train(alone, 5, 0.01, lambda inputs, outputs, labels: ce_loss(outputs, labels))
test(alone)
train(student, 5, 0.01, distilled)
test(student)
x = next(iter(test_loader))[0]
a, b, c = (F.log_softmax(net(x) / T, dim=1) for net in (alone, student, teacher))
print(f"to the teacher: {F.kl_div(a, c, log_target=True, reduction='sum'):.3f} {kl_loss(b, c.exp()):.4f}")
