"""A small BERT that tells which of two tokens is more frequent, its schedule tuned through a running service.

In one terminal, then another:

    lrsearch serve --workers 0
    python examples/transformers_tokens.py

The model is made here and the data are made up, so nothing is downloaded. From several terminals at once it searches as
many times as fast.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import lrsearch

CONFIG = BertConfig(
    vocab_size=8,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=16,
)
STUDY = {
    "name": "transformers-tokens",
    "task": "external",
    "epochs": 6,
    "space": {
        "family": ["linear", "cosine"],
        "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "warmup": [0, "10%"],
    },
    "objective": {"metric": "val_loss", "direction": "minimize"},
    "pruner": "median",
    "budget": {"trials": 12},
}


def made_up(n: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """``n`` sentences of 15 tokens; the label is whether token 1 comes more often than token 2."""
    tokens = torch.randint(0, 8, (n, 15), generator=torch.Generator().manual_seed(seed))
    labels = ((tokens == 1).sum(1) > (tokens == 2).sum(1)).long()
    return [{"input_ids": row, "labels": label} for row, label in zip(tokens, labels, strict=True)]


def fit(
    seed: int, epochs: int, schedule: lrsearch.Schedule | None = None, callbacks: Sequence[TrainerCallback] = ()
) -> float:
    """Train; the validation loss at the end."""
    set_seed(seed)
    model = BertForSequenceClassification(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = schedule.to_torch(optimizer, updates_per_epoch=16) if schedule is not None else None
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=epochs,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=256,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=seed,
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=made_up(512, seed=1),
        eval_dataset=made_up(256, seed=2),
        optimizers=(optimizer, scheduler),
        callbacks=list(callbacks),
    )
    trainer.train()
    return trainer.evaluate()["eval_loss"]


def main() -> None:
    """Search, then train with the best schedule."""
    with lrsearch.Client() as client:  # LRSEARCH_SERVER, or this machine
        client.create(STUDY)
        for trial in client.trials("transformers-tokens"):
            with trial:
                loss = fit(trial.seed, trial.epochs, callbacks=[lrsearch.callbacks.Transformers(trial)])
            print(f"trial {trial.number}: {trial.params}, val_loss {loss:.4f}")

        best = client.best("transformers-tokens")
        again = fit(0, best.schedule.epochs, best.schedule)
        print(f"the best, trial {best.trial}: val_loss {best.value:.4f}; again with its LambdaLR: {again:.4f}")


if __name__ == "__main__":
    main()
