"""Records for a diagnosis, taken in anybody's own torch loop."""

from __future__ import annotations

from typing import Any

import torch

from .probe import Probe, layers_of


class Recorder:
    """Looks on while your own loop trains; it changes nothing::

        recorder = lrsearch.Recorder(model, optimizer)
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            with recorder.update(loss):
                optimizer.step()
        print(lrsearch.diagnose(recorder.records))

    Attributes:
        records: one mapping an update, as ``lrsearch.diagnose`` reads them. Layers are looked at in updates 0, 1, 2, 4,
            8, ... and in every 32nd.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.records: list[dict[str, Any]] = []
        self._layers = layers_of(model)
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = optimizer
        self._probe: Probe | None = None

    def update(self, loss: torch.Tensor | float) -> Recorder:
        """Around ``optimizer.step()``: the loss of the batch, whose gradients are there and not clipped yet."""
        update = len(self.records)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients])).item()
        rate = max(group["lr"] for group in self._optimizer.param_groups)
        value = loss.item() if isinstance(loss, torch.Tensor) else loss
        record: dict[str, Any] = {"update": update, "loss": value, "lr": float(rate), "grad_norm": norm}
        self.records.append(record)
        probe = Probe(self._layers, update, 1)
        self._probe = probe if probe.wants(update) else None
        return self

    def __enter__(self) -> Recorder:
        """Look at the weights before the step."""
        if self._probe is not None:
            self._probe.before([None if p.grad is None else p.grad[None] for p in self._parameters], self._rows())
        return self

    def __exit__(self, *error: object) -> None:
        """Look at the weights after it."""
        if self._probe is not None:
            self._probe.after(self._rows())
            ratios, layers = self._probe.numbers(1)
            self.records[-1]["update_ratio"] = float(ratios[0, 0])
            self.records[-1]["layers"] = {name: tuple(signs[0, 0].tolist()) for name, signs in layers.items()}

    def _rows(self) -> list[torch.Tensor]:
        return [parameter.detach()[None] for parameter in self._parameters]
