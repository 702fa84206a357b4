"""Images of one's own: what a file must hold, and what the task makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from lrsearch.errors import InvalidInput, Unavailable
from lrsearch.resolve import complete_options, resolve, updates_per_epoch
from lrsearch.study import StudySpec
from lrsearch.tasks.arrays import Arrays
from lrsearch.tasks.catalog import CATALOG
from lrsearch.tasks.classifiers import CLASSIFIERS
from lrsearch.tasks.fingerprint import fingerprint
from lrsearch.tasks.initial import initial_arrays
from lrsearch.tasks.vision import torchvision_module

OPTIONS = {"file": "own.npz", "train_examples": 24, "model": "squeezenet1_1"}
draw = np.random.default_rng(0)
PIXELS = {
    "train": draw.integers(0, 256, (30, 17, 17, 3), dtype=np.uint8),
    "test": draw.integers(0, 256, (6, 17, 17, 3), dtype=np.uint8),
}
LABELS = {"train": np.arange(30) % 3, "test": np.arange(6) % 3}


def archive(**changes):
    held = {f"x_{part}": PIXELS[part] for part in PIXELS} | {f"y_{part}": LABELS[part] for part in LABELS}
    return {name: array for name, array in (held | changes).items() if array is not None}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LRSEARCH_DATA", str(tmp_path))
    np.savez(tmp_path / "own.npz", **archive())
    return tmp_path


def arrays(**options):
    return Arrays({**OPTIONS, **options})


def test_a_part_of_the_training_images_is_held_out(folder):
    data = arrays(scale="none").data().arrays()
    assert [inputs.shape for inputs, _ in data.values()] == [(n, 3, 17, 17) for n in (24, 6, 6)]
    back = {part: np.rint(inputs * 255).astype(np.uint8).transpose(0, 2, 3, 1) for part, (inputs, _) in data.items()}
    assert np.array_equal(back["test"], PIXELS["test"])
    whole = {(image.tobytes(), int(label)) for image, label in zip(PIXELS["train"], LABELS["train"], strict=True)}
    found = {(i.tobytes(), int(y)) for part in ("train", "val") for i, y in zip(back[part], data[part][1], strict=True)}
    assert found == whole
    assert len(whole) == 30


def test_channels_are_scaled_by_what_is_trained_on(folder):
    inputs = arrays().data().train[0]
    assert np.abs(inputs.mean(axis=(0, 2, 3))).max() < 1e-5
    assert np.abs(inputs.std(axis=(0, 2, 3)) - 1).max() < 1e-5
    raw, scaled = (arrays(scale=scale).data().train[0][0, :, 0, 0] for scale in ("none", "imagenet"))
    assert scaled == pytest.approx((raw - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], abs=1e-5)


GREY = {part: pixels[..., :1] for part, pixels in PIXELS.items()}


@pytest.mark.parametrize(
    ("images", "same_as"),
    [
        ({part: p.transpose(0, 3, 1, 2) for part, p in PIXELS.items()}, PIXELS),
        ({part: (p / 255).astype(np.float32) for part, p in PIXELS.items()}, PIXELS),
        ({part: p / 255 for part, p in PIXELS.items()}, PIXELS),
        ({part: p[..., 0] for part, p in GREY.items()}, GREY),
        ({part: p.transpose(0, 3, 1, 2) for part, p in GREY.items()}, GREY),
        ({part: p.repeat(3, axis=3) for part, p in GREY.items()}, GREY),
    ],
    ids=["channels first", "float32", "float64", "grey", "one channel first", "grey three times"],
)
def test_images_may_lie_in_any_usual_way(folder, images, same_as):
    found = []
    for name, held in (("one", images), ("other", same_as)):
        np.savez(folder / f"{name}.npz", **archive(x_train=held["train"], x_test=held["test"]))
        found.append(arrays(file=f"{name}.npz").data().arrays())
    for part, (inputs, labels) in found[0].items():
        assert inputs == pytest.approx(found[1][part][0], abs=1e-6)
        assert np.array_equal(labels, found[1][part][1])


def test_labels_may_be_a_column_of_any_whole_numbers(folder):
    np.savez(folder / "column.npz", **archive(y_train=LABELS["train"].astype(np.uint8)[:, None]))
    assert np.array_equal(arrays(file="column.npz").data().train[1], arrays().data().train[1])


@pytest.mark.parametrize(
    ("changes", "options", "field", "says"),
    [
        ({"y_test": None}, {}, "file", "must hold x_train, y_train, x_test, y_test"),
        ({"x_train": PIXELS["train"].reshape(30, -1)}, {}, "file", "must have shape"),
        ({"x_train": PIXELS["train"][..., :2]}, {}, "file", "c 1 or 3"),
        ({"x_train": PIXELS["train"].astype(np.int32)}, {}, "file", "must be uint8"),
        ({"x_train": np.full((30, 17, 17), np.nan)}, {}, "file", "must be finite"),
        ({"x_train": PIXELS["train"][:0], "y_train": LABELS["train"][:0]}, {}, "file", "n >= 1"),
        ({"x_test": PIXELS["test"][:, :9]}, {}, "file", "of one size"),
        ({"y_train": LABELS["train"][:9]}, {}, "file", "equally long"),
        ({"y_train": LABELS["train"] - 1}, {}, "file", "0 <= y_train"),
        ({"y_train": LABELS["train"] * 1.0}, {}, "file", "whole numbers"),
        ({"y_train": LABELS["train"] * 2}, {}, "classes", "every class 0 .. 4"),
        ({"y_train": LABELS["train"] * 0, "y_test": LABELS["test"] * 0}, {}, "classes", "every class 0 .. 1"),
        ({"y_test": LABELS["test"] + 1}, {}, "file", "y_test must lie in 0 .. 2"),
        ({}, {"classes": 2}, "file", "y_train must lie in 0 .. 1"),
        ({}, {"train_examples": 30}, "train_examples", "must be below 30"),
        ({"x_train": np.array([{}] * 30, dtype=object)}, {}, "file", "archive of plain arrays"),
    ],
)
def test_a_broken_file_is_refused_in_words(folder, changes, options, field, says):
    np.savez(folder / "own.npz", **archive(**changes))
    with pytest.raises(InvalidInput, match=says) as refused:
        arrays(**options).data()
    assert refused.value.faults[0].field == f"options.{field}"


def test_what_is_no_archive_is_refused(folder):
    (folder / "own.npz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match="archive of plain arrays"):
        arrays().data()
    with (folder / "own.npz").open("wb") as stream:
        np.save(stream, PIXELS["train"])
    with pytest.raises(InvalidInput, match="archive of plain arrays"):
        arrays().data()


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_nothing_pickled_is_opened(folder):
    np.savez(folder / "own.npz", **archive(y_train=np.array([Trap()] * 30, dtype=object)))
    with pytest.raises(InvalidInput, match="archive of plain arrays"):
        arrays().data()


@pytest.mark.parametrize(
    "path", ["../own.npz", "/own.npz", "a/../own.npz", "a//own.npz", ".own.npz", "a\\own.npz", "own.npy", "~/own.npz"]
)
def test_no_path_leaves_the_data_root(path):
    for option, asked in (("file", path), ("checkpoint", path.replace(".npz", ".safetensors"))):
        options = {**OPTIONS, option: asked}
        with pytest.raises(InvalidInput, match=f"options.{option}: .* must be: A"):
            complete_options(options, CATALOG["arrays"])
        with pytest.raises(InvalidInput, match=option):
            Arrays(options)


def test_files_may_lie_in_folders(folder):
    (folder / "a.b").mkdir()
    (folder / "own.npz").rename(folder / "a.b" / "own.2.npz")
    assert len(arrays(file="a.b/own.2.npz").data().train[0]) == 24


def test_a_missing_file_names_the_way_out(folder):
    with pytest.raises(Unavailable, match="LRSEARCH_DATA"):
        arrays(file="other.npz").data()
    with pytest.raises(Unavailable, match="LRSEARCH_DATA"):
        arrays(checkpoint="other.safetensors").model()


def test_the_names_are_those_of_torchvision():
    models = torchvision_module("models")
    assert list(CLASSIFIERS) == models.list_models(module=models)


def test_a_misspelt_classifier_is_refused_by_the_service_too():
    for refuse in (Arrays, lambda options: complete_options(options, CATALOG["arrays"])):
        with pytest.raises(InvalidInput, match="did you mean `resnet18`"):
            refuse({**OPTIONS, "model": "resnet1"})


@pytest.mark.parametrize("model", ["shufflenet_v2_x0_5", "vit_b_32", "googlenet"])
def test_a_classifier_scores_the_classes_of_the_file(folder, model):
    import torch

    np.savez(folder / "own.npz", **archive(x_train=np.zeros((30, 32, 32)), x_test=np.zeros((6, 32, 32))))
    task = arrays(model=model)
    found = task.model().train()
    inputs, labels = (torch.from_numpy(side[:4]) for side in task.data().train)
    scores = found(inputs)
    assert scores.shape == (4, 3)
    assert torch.isfinite(task.loss(scores, labels))


def test_images_that_are_too_small_are_refused(folder):
    with pytest.raises(InvalidInput, match="alexnet takes no images of 17 x 17") as refused:
        arrays(model="alexnet").model()
    assert refused.value.faults[0].field == "options.model"


def test_epochs_are_counted_by_the_option():
    offer = CATALOG["arrays"]
    spec = StudySpec.read(
        {"task": "arrays", "options": OPTIONS, "epochs": 3, "space": {"family": "cosine"}, "train": {"batch_size": 10}}
    )
    assert updates_per_epoch(resolve(spec, offer), offer) == 3
    with pytest.raises(InvalidInput, match="train_examples"):
        resolve(spec.model_copy(update={"options": {"file": "own.npz"}}), offer)


def test_the_fingerprint_knows_files_and_checkpoint(folder):
    from safetensors.numpy import save_file

    begun = {name: array + 1 for name, array in initial_arrays(arrays(), 0).items()}
    save_file(begun, folder / "begun.safetensors")
    found = [fingerprint(arrays(), 0), fingerprint(arrays(checkpoint="begun.safetensors"), 0)]
    save_file({name: array + 1 for name, array in begun.items()}, folder / "begun.safetensors")
    found.append(fingerprint(arrays(checkpoint="begun.safetensors"), 0))
    np.savez(folder / "own.npz", **archive(x_test=255 - PIXELS["test"]))
    found.append(fingerprint(arrays(), 0))
    assert len(set(found)) == 4
