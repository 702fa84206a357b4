"""The prefix store: what comes out is what went in, or nothing."""

from __future__ import annotations

import logging
import math
import os
import threading

import numpy as np
import pytest

from lrsearch.training.prefixes import Prefix, PrefixStore
from lrsearch.training.program import EpochRecord
from lrsearch.training.shelf import SMALLEST_CHARGE

KEYS = [f"{i:032x}" for i in range(200)]


def prefix(n_epochs=2, value=1.5, size=6):
    records = tuple(
        EpochRecord(epoch, 0.1 + 1e-17 * epoch, 0.2 / 3, 0.25, {"train_loss": value / epoch, "val_loss": math.nan})
        for epoch in range(1, n_epochs + 1)
    )
    last = EpochRecord(n_epochs, 0.1, 0.1, 0.5, {"val_loss": math.inf}, (7, 0.1))
    state = {
        "model.w": np.full((2, size // 2), value, dtype=np.float32),
        "step": np.array(3.0),
        "flag": np.array([True, False]),
        "count": np.array(5, dtype=np.int64),
        "moments": np.array([math.nan, math.inf, -0.0]),
    }
    return Prefix((*records[:-1], last), state)


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    return PrefixStore(None if request.param == "memory" else tmp_path / "prefixes")


def test_what_comes_out_is_what_went_in(store, same):
    written = prefix()
    store.save(KEYS[0], written)
    found = store.load(KEYS[0])
    assert same(found.state, written.state)
    assert all(found.state[name].dtype == array.dtype for name, array in written.state.items())
    assert np.signbit(found.state["moments"][2])
    assert same(found.records[0], written.records[0])
    assert found.records[1].divergence == (7, 0.1)
    assert math.isnan(found.records[1].metrics["val_loss"])
    assert store.load(KEYS[1]) is None


def test_it_is_written_once(store):
    store.save(KEYS[0], prefix(value=1.5))
    store.save(KEYS[0], prefix(value=2.5))
    assert store.load(KEYS[0]).state["model.w"][0, 0] == 1.5


def test_the_longest_prefix_is_found(store):
    assert store.longest(KEYS[:6]) is None
    store.save(KEYS[1], prefix(1))
    store.save(KEYS[3], prefix(3))
    assert store.longest(KEYS[:6])[0] == 3
    assert store.longest(KEYS[:3])[0] == 1
    assert store.longest([KEYS[3]]) is None


def flipped(path, position):
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1
    path.write_bytes(content)


def damages():
    for suffix in (".safetensors", ".json"):
        yield pytest.param(suffix, lambda path: path.unlink(), id=f"missing{suffix}")
        yield pytest.param(suffix, lambda path: path.write_bytes(b""), id=f"empty{suffix}")
        yield pytest.param(suffix, lambda path: path.write_bytes(path.read_bytes()[:-1]), id=f"truncated{suffix}")
        yield pytest.param(suffix, lambda path: path.write_bytes(os.urandom(64)), id=f"noise{suffix}")
        for position in (0, 9, 40, 90, 150, -20, -1):
            yield pytest.param(suffix, lambda path, p=position: flipped(path, p), id=f"bit-{position}{suffix}")


@pytest.mark.parametrize(("suffix", "damage"), list(damages()))
def test_damaged_files_are_never_loaded(tmp_path, caplog, suffix, damage):
    store = PrefixStore(tmp_path)
    for n_epochs in (1, 3):
        store.save(KEYS[n_epochs], prefix(n_epochs))
    with caplog.at_level(logging.CRITICAL):
        damage(tmp_path / f"{KEYS[3]}{suffix}")
        assert store.longest(KEYS[:6])[0] == 1
    store.save(KEYS[3], prefix(3))
    assert store.longest(KEYS[:6])[0] == 3


def test_every_flipped_bit_is_noticed(tmp_path, caplog):
    store = PrefixStore(tmp_path)
    store.save(KEYS[2], prefix())
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    whole = {path: path.read_bytes() for path in files}
    with caplog.at_level(logging.CRITICAL):
        for path in files:
            for position in range(0, len(whole[path]), 3):
                for file, content in whole.items():
                    file.write_bytes(content)
                flipped(path, position)
                found = store.load(KEYS[2])
                assert found is None, f"{path.suffix} bit {position}"


def test_exchanged_files_are_not_loaded(tmp_path):
    store = PrefixStore(tmp_path)
    store.save(KEYS[1], prefix(1, value=1.0))
    store.save(KEYS[2], prefix(2, value=2.0))
    (tmp_path / f"{KEYS[1]}.safetensors").replace(tmp_path / f"{KEYS[2]}.safetensors")
    assert store.longest(KEYS[:5]) is None


def test_a_record_of_another_length_is_not_taken_for_a_prefix(store):
    store.save(KEYS[4], prefix(2))
    assert store.longest(KEYS[:6]) is None


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_the_least_recently_used_make_room(tmp_path, kind):
    large = SMALLEST_CHARGE // 4
    budget = 10 * (SMALLEST_CHARGE + 4096)
    store = PrefixStore(None if kind == "memory" else tmp_path, budget_bytes=budget)
    for i in range(30):
        store.save(KEYS[i], prefix(size=large))
        if kind == "folder":
            past = 1_000_000_000 + i
            for path in tmp_path.glob(f"{KEYS[i]}*"):
                os.utime(path, (past, past))
        assert store.load(KEYS[0]) is not None
    kept = [i for i in range(30) if store.load(KEYS[i]) is not None]
    assert kept[0] == 0
    assert kept[-1] == 29
    assert 5 <= len(kept) <= 11
    assert kept[1:] == list(range(30 - len(kept) + 1, 30))


def test_many_small_entries_are_bounded_too(tmp_path):
    store = PrefixStore(tmp_path, budget_bytes=20 * SMALLEST_CHARGE)
    for key in KEYS:
        store.save(key, prefix())
    assert len(list(tmp_path.iterdir())) <= 2 * 20


def test_what_others_wrote_counts(tmp_path):
    for first in range(0, 60, 10):
        store = PrefixStore(tmp_path, budget_bytes=20 * SMALLEST_CHARGE)
        for key in KEYS[first : first + 10]:
            store.save(key, prefix())
    assert len(list(tmp_path.glob("*.json"))) <= 30


def test_half_written_files_are_not_seen_and_go_in_time(tmp_path):
    half = tmp_path / f".{KEYS[0]}.json.abcd.half"
    half.write_bytes(b"{")
    os.utime(half, (1, 1))
    store = PrefixStore(tmp_path)
    assert store.load(KEYS[0]) is None
    store.save(KEYS[1], prefix())
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{KEYS[1]}.json", f"{KEYS[1]}.safetensors"]


def test_a_folder_that_cannot_be_written_costs_only_training(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    store = PrefixStore(tmp_path / "file" / "prefixes")
    for key in KEYS[:3]:
        store.save(key, prefix())
    assert store.longest(KEYS[:3]) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_folder_may_vanish_and_come_back(tmp_path):
    import shutil

    store = PrefixStore(tmp_path / "prefixes")
    store.save(KEYS[0], prefix())
    shutil.rmtree(tmp_path / "prefixes")
    assert store.load(KEYS[0]) is None
    store.save(KEYS[0], prefix())
    assert store.load(KEYS[0]) is not None


def test_several_may_share_a_folder(tmp_path):
    found = []

    def work():
        store = PrefixStore(tmp_path)
        for key in KEYS[:20]:
            store.save(key, prefix())
            found.append(store.load(key))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(one is not None and one.state["model.w"][0, 0] == 1.5 for one in found)
    assert len(list(tmp_path.iterdir())) == 40


def test_the_default_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path))
    PrefixStore.default().save(KEYS[0], prefix())
    assert len(list(tmp_path.iterdir())) == 2
