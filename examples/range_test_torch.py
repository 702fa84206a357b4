"""A range test of your own PyTorch training: the model is left as it was, down to the random state."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrsearch

torch.manual_seed(0)
inputs = torch.randn(2048, 20)
targets = (inputs[:, :5].sum(dim=1) > 0).long()
loader = DataLoader(TensorDataset(inputs, targets), batch_size=32, shuffle=True)
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.AdamW(model.parameters())

result = lrsearch.torch_range_test(model, optimizer, nn.CrossEntropyLoss(), loader, updates=200)
print(result.verdict)
print(result.suggestions)
for group in optimizer.param_groups:
    group["lr"] = result.suggested or group["lr"]
