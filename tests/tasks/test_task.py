"""What a user's own task is made of."""

from __future__ import annotations

import numpy as np
import pytest

import lrsearch
from lrsearch.errors import InvalidInput
from lrsearch.tasks.task import Task

X, Y = np.zeros((6, 2), dtype=np.float32), np.arange(6) % 3


class Blobs(Task):
    """Three blobs.

    More about them.
    """

    name = "blobs"

    class Options(lrsearch.Options):
        """How wide."""

        width: int = 4

    def model(self):
        import torch

        return torch.nn.Sequential(torch.nn.Linear(2, self.options.width), torch.nn.Linear(self.options.width, 3))

    def data(self):
        return lrsearch.Data(train=(X, Y), val=(X[:2], Y[:2]))


def test_a_minimal_task_is_announced_with_defaults():
    offer = Blobs.offer()
    assert (offer.name, offer.version, offer.help) == ("blobs", "1", "Three blobs.")
    assert (offer.train_examples, offer.has_test) == (6, False)
    assert list(offer.metrics.items()) == [("val_loss", "minimize"), ("val_accuracy", "maximize")]
    assert offer.options_schema["properties"]["width"]["default"] == 4


def test_options_are_checked():
    assert Blobs({"width": 7}).options.width == 7
    assert Blobs().options.width == 4
    with pytest.raises(InvalidInput, match="did you mean `width`"):
        Blobs({"widht": 7})


def test_loss_and_accuracy_are_supplied():
    import torch

    scores = torch.tensor([[9.0, 0, 0], [9.0, 0, 0]])
    targets = torch.tensor([0, 1])
    assert Blobs().measure(scores, targets)["accuracy"].tolist() == [True, False]
    assert Blobs().loss(scores, targets).item() == pytest.approx(4.5, abs=0.01)


def test_accuracy_is_left_out_where_no_metric_asks_for_it():
    class Regression(Blobs):
        name = "regression"
        metrics = {"val_loss": "minimize"}

    assert Regression().measure(None, None) == {}
    assert Regression.offer().help == ""


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"name": "No Such Name"}, "name"),
        ({"metrics": {}}, "metrics"),
        ({"metrics": {"val_loss": "down"}}, "minimize"),
        ({"Options": dict}, "lrsearch.Options"),
        ({"model": Task.model}, "model"),
        ({"examples_option": "size"}, "examples_option"),
    ],
)
def test_a_broken_class_is_refused(attributes, says):
    broken = type("Broken", (Blobs,), attributes)
    with pytest.raises(InvalidInput, match=says):
        broken.description()


def test_an_option_without_a_default_is_refused():
    class Needy(Blobs):
        class Options(lrsearch.Options):
            """Needs to be told."""

            width: int

    with pytest.raises(InvalidInput, match="width"):
        Needy.description()


def test_data_must_match():
    with pytest.raises(InvalidInput, match="val"):
        lrsearch.Data(train=(X, Y), val=(X, Y[:2]))
    with pytest.raises(InvalidInput, match="at least one"):
        lrsearch.Data(train=(X[:0], Y[:0]), val=(X, Y))


@pytest.mark.parametrize("pair", [X, (X,), (X, Y, Y), ((X, X), Y), ({"x": X}, Y), iter([X, Y])])
def test_data_are_pairs_of_arrays(pair):
    with pytest.raises(InvalidInput, match=r"`train` data must be a pair \(inputs, targets\)"):
        lrsearch.Data(train=pair, val=(X, Y))
