"""A thousand ways to damage a stored prefix: none is ever loaded, none is more than a prefix less."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest

from lrsearch.training.prefixes import Prefix, PrefixStore
from lrsearch.training.program import EpochRecord

N_EPOCHS = 4
KEYS = [f"{i:032x}" for i in range(N_EPOCHS + 1)]
OTHER_KEYS = [KEYS[0], *(f"{i:032x}" for i in range(100, 100 + N_EPOCHS))]
SUFFIXES = (".safetensors", ".json")


def prefix(n_epochs, value):
    """Prefixes of two trajectories differ in nothing but their numbers."""
    records = tuple(EpochRecord(n, 0.1, 0.1, 0.5, {"val_loss": value / n}) for n in range(1, n_epochs + 1))
    return Prefix(records, {"w": np.full((8, 3), value + n_epochs, np.float32), "step": np.array(n_epochs)})


WRITTEN = {key: prefix(n, 1.0) for n, key in enumerate(KEYS) if n} | {
    key: prefix(n, 2.0) for n, key in enumerate(OTHER_KEYS) if n
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Every file of a store, by name."""
    folder = tmp_path_factory.mktemp("whole")
    store = PrefixStore(folder)
    for key, one in WRITTEN.items():
        store.save(key, one)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(files) == 2 * len(WRITTEN)
    return files


def truncate(files, key, suffix, rng):
    content = files[key + suffix]
    files[key + suffix] = content[: rng.randrange(len(content))]
    return [key]


def flip(files, key, suffix, rng):
    content = bytearray(files[key + suffix])
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    files[key + suffix] = bytes(content)
    return [key]


def swap(files, key, suffix, rng):
    """Exchange one file, or both, of two entries; of two trajectories' too, where all lengths agree."""
    other = rng.choice([one for one in WRITTEN if one != key])
    for part in (suffix,) if rng.random() < 0.5 else SUFFIXES:
        files[key + part], files[other + part] = files[other + part], files[key + part]
    return [key, other]


def copy(files, key, suffix, rng):
    other = rng.choice([one for one in WRITTEN if one != key])
    for part in (suffix,) if rng.random() < 0.5 else SUFFIXES:
        files[key + part] = files[other + part]
    return [key]


def replace(files, key, suffix, rng):
    first = rng.randrange(len(files[key + suffix]))
    content = bytearray(files[key + suffix])
    noise = rng.randbytes(rng.randrange(1, 40))
    content[first : first + len(noise)] = noise
    files[key + suffix] = bytes(content)
    return [key]


def append(files, key, suffix, rng):
    files[key + suffix] += rng.choice([b"\n", b" ", b"\0", rng.randbytes(10)])
    return [key]


def remove(files, key, suffix, rng):
    del files[key + suffix]
    return [key]


DAMAGES = (truncate, flip, swap, copy, replace, append, remove)


def equal(found, written):
    return (
        found.records == written.records
        and found.state.keys() == written.state.keys()
        and all(np.array_equal(found.state[name], array) for name, array in written.state.items())
    )


@pytest.mark.parametrize("count", [210, pytest.param(1050, marks=pytest.mark.slow)])
def test_no_damaged_prefix_is_ever_loaded(tmp_path, caplog, whole, count):
    caplog.set_level(logging.CRITICAL)
    rng = random.Random(count)
    for turn in range(count):
        damage = DAMAGES[turn % len(DAMAGES)]
        key, suffix = rng.choice(list(WRITTEN)), rng.choice(SUFFIXES)
        files = dict(whole)
        hurt = damage(files, key, suffix, rng)
        hurt = [one for one in hurt if any(files.get(one + part) != whole[one + part] for part in SUFFIXES)]
        assert hurt or damage is replace, damage
        for path in tmp_path.iterdir():
            path.unlink()
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)

        at = f"turn {turn}: {damage.__name__} {key}{suffix}"
        for keys in (KEYS, OTHER_KEYS):
            n_epochs = max((n for n, one in enumerate(keys) if n and one not in hurt), default=0)
            found = PrefixStore(tmp_path).longest(keys)
            assert found is not None, at
            assert found[0] == n_epochs, at
        store = PrefixStore(tmp_path)
        for one, written in WRITTEN.items():
            found = store.load(one)
            assert found is None if one in hurt else equal(found, written), at
            store.save(one, written)
        store = PrefixStore(tmp_path)
        assert all(equal(store.load(one), WRITTEN[one]) for one in hurt), at


def test_every_flipped_bit_is_noticed(tmp_path, caplog, whole):
    caplog.set_level(logging.CRITICAL)
    key = KEYS[2]
    names = [key + suffix for suffix in SUFFIXES]
    for name in names:
        for position in range(0, len(whole[name]), 5):
            for one in names:
                (tmp_path / one).write_bytes(whole[one])
            content = bytearray(whole[name])
            content[position] ^= 1
            (tmp_path / name).write_bytes(content)
            assert PrefixStore(tmp_path).load(key) is None, f"{name} byte {position}"
