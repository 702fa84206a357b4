"""The prefix store: what comes out is what went in, or nothing."""

from __future__ import annotations

import math
import secrets
import shutil
import threading

import numpy as np
import pytest

from lrsearch.errors import InvalidInput
from lrsearch.training import shelf
from lrsearch.training.prefixes import Prefix, PrefixStore
from lrsearch.training.program import EpochRecord

KEYS = [f"{i:032x}" for i in range(200)]
PLACES = ("folder", "file://", "memory://")


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


@pytest.fixture
def place(tmp_path):
    """``place(kind)``: a fresh folder or URL; None = this process' memory."""

    def fresh(kind):
        path = tmp_path / "prefixes"
        if kind == "memory://":
            return f"memory://{secrets.token_hex(8)}/prefixes"
        return {"memory": None, "folder": path, "file://": f"file://{path}"}[kind]

    return fresh


@pytest.mark.parametrize("kind", ["memory", *PLACES])
def test_what_comes_out_is_what_went_in(place, kind, same):
    folder, written = place(kind), prefix()
    store = PrefixStore(folder)
    store.save(KEYS[0], written)
    for reader in (store, PrefixStore(folder)) if folder else (store,):
        found = reader.load(KEYS[0])
        assert same(found.state, written.state)
        assert all(found.state[name].dtype == array.dtype for name, array in written.state.items())
        assert np.signbit(found.state["moments"][2])
        assert same(found.records[0], written.records[0])
        assert same(found.records[1], written.records[1])
        assert found.records[1].divergence == (7, 0.1)
        assert found.records[1].metrics["val_loss"] == math.inf
        assert found.records[1].text == written.records[1].text
        assert reader.load(KEYS[1]) is None


@pytest.mark.parametrize("kind", ["memory", *PLACES])
def test_a_loaded_state_is_the_callers_own(place, kind):
    store = PrefixStore(place(kind))
    store.save(KEYS[0], prefix())
    store.load(KEYS[0]).state["model.w"][:] = 7
    assert store.load(KEYS[0]).state["model.w"][0, 0] == 1.5


@pytest.mark.parametrize("kind", ["memory", *PLACES])
def test_it_is_written_once(place, kind):
    folder = place(kind)
    store = PrefixStore(folder)
    store.save(KEYS[0], prefix(value=1.5))
    for writer in (store, PrefixStore(folder)) if folder else (store,):
        writer.save(KEYS[0], prefix(value=2.5))
        assert writer.load(KEYS[0]).state["model.w"][0, 0] == 1.5


@pytest.mark.parametrize("kind", ["memory", *PLACES])
def test_the_longest_prefix_is_found(place, kind):
    folder = place(kind)
    store = PrefixStore(folder)
    assert store.longest(KEYS[:6]) is None
    store.save(KEYS[1], prefix(1))
    store.save(KEYS[3], prefix(3))
    for reader in (store, PrefixStore(folder)) if folder else (store,):
        assert reader.longest(KEYS[:6])[0] == 3
        assert reader.longest(KEYS[:3])[0] == 1
        assert reader.longest([KEYS[3]]) is None
        assert reader.longest([]) is None


@pytest.mark.parametrize("kind", ["memory", *PLACES])
def test_a_record_of_another_length_is_not_taken_for_a_prefix(place, kind):
    store = PrefixStore(place(kind))
    store.save(KEYS[4], prefix(2))
    assert store.longest(KEYS[:6]) is None


@pytest.mark.parametrize("kind", PLACES)
def test_what_another_process_stores_is_seen_soon(place, kind, monkeypatch):
    monkeypatch.setattr(shelf, "SOONEST_SECONDS", 0.0)
    monkeypatch.setattr(shelf, "LISTING_SHARE", 1e9)
    folder = place(kind)
    one, other = PrefixStore(folder), PrefixStore(folder)
    assert other.longest(KEYS[:6]) is None
    one.save(KEYS[2], prefix(2))
    assert other.longest(KEYS[:6])[0] == 2


def test_looking_for_many_trajectories_lists_the_folder_once(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "SOONEST_SECONDS", 1e6)
    store = PrefixStore(tmp_path)
    store.save(KEYS[1], prefix(1))
    asked = []
    monkeypatch.setattr("os.scandir", asked.append)
    monkeypatch.setattr("os.stat", lambda *args, **options: asked.append(args))
    for _ in range(100):
        assert store.longest([KEYS[0], *KEYS[2:]]) is None
    assert asked == []


def test_what_was_just_saved_needs_no_disk(tmp_path):
    store = PrefixStore(tmp_path / "prefixes")
    store.save(KEYS[2], prefix())
    shutil.rmtree(tmp_path / "prefixes")
    assert store.longest(KEYS[:4])[0] == 2


def test_a_folder_that_cannot_be_written_costs_only_training(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file" / "prefixes"
    store = PrefixStore(folder)
    for n_epochs in (1, 2, 3):
        store.save(KEYS[n_epochs], prefix(n_epochs))
    assert store.longest(KEYS[:4])[0] == 3, "memory still has them"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert PrefixStore(folder).longest(KEYS[:4]) is None


def test_a_full_disk_costs_only_training(tmp_path, caplog):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = PrefixStore(tmp_path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, limits[1]))
        store.save(KEYS[1], prefix(1, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert list(tmp_path.iterdir()) == []
    assert PrefixStore(tmp_path).load(KEYS[1]) is None
    assert store.load(KEYS[1]) is not None


def test_a_folder_may_vanish_and_come_back(tmp_path):
    store = PrefixStore(tmp_path / "prefixes")
    store.save(KEYS[1], prefix(1))
    shutil.rmtree(tmp_path / "prefixes")
    store.save(KEYS[2], prefix(2))
    assert PrefixStore(tmp_path / "prefixes").longest(KEYS[:4])[0] == 2


def test_several_may_share_a_folder(tmp_path):
    found = []

    def work():
        store = PrefixStore(tmp_path)
        for key in KEYS[:20]:
            store.save(key, prefix())
            found.append(PrefixStore(tmp_path).load(key))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(one is not None and one.state["model.w"][0, 0] == 1.5 for one in found)
    assert len(list(tmp_path.iterdir())) == 40


def test_the_default_folder_comes_from_the_environment(tmp_path, monkeypatch, place):
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path))
    PrefixStore.default().save(KEYS[0], prefix())
    assert len(list(tmp_path.iterdir())) == 2
    url = place("memory://")
    monkeypatch.setenv("LRSEARCH_PREFIXES", url)
    PrefixStore.default().save(KEYS[0], prefix())
    assert PrefixStore(url).load(KEYS[0]) is not None


def test_the_budget_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LRSEARCH_PREFIXES", str(tmp_path))
    monkeypatch.setenv("LRSEARCH_PREFIXES_GIB", str(20 * shelf.SMALLEST_CHARGE / 2**30))
    store = PrefixStore.default()
    for key in KEYS[:60]:
        store.save(key, prefix())
    assert 10 <= len(list(tmp_path.glob("*.json"))) <= 20


@pytest.mark.parametrize("text", ["many", "0", "-1", "inf", "nan"])
def test_a_budget_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("LRSEARCH_PREFIXES_GIB", text)
    with pytest.raises(InvalidInput, match="LRSEARCH_PREFIXES_GIB"):
        PrefixStore.default()


def test_a_url_that_nothing_opens_is_refused():
    with pytest.raises(InvalidInput, match="nowhere://bucket"):
        PrefixStore("nowhere://bucket")
