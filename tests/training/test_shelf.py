"""Shelves: what makes room and when, whoever writes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from lrsearch.training import shelf, url_folder
from lrsearch.training.folder import LocalFolder
from lrsearch.training.seal import Sealed
from lrsearch.training.shelf import SMALLEST_CHARGE, FolderShelf, FrontedShelf, MemoryShelf
from lrsearch.training.url_folder import UrlFolder

KEYS = [f"{i:032x}" for i in range(400)]
ENTRY = Sealed(b"s" * (SMALLEST_CHARGE - 100), b"r" * 100)
BUDGET = 20 * SMALLEST_CHARGE
KINDS = ("memory", "folder", "fronted", "file://", "memory://")


@pytest.fixture
def opener(tmp_path, monkeypatch):
    """``opener(kind)``: opens the same place again and again; its files are listed whenever they are asked for."""
    monkeypatch.setattr(shelf, "SOONEST_SECONDS", 0.0)
    monkeypatch.setattr(shelf, "LISTING_SHARE", 1e9)
    monkeypatch.setattr(url_folder, "TELL_SECONDS", 0.0)
    name = secrets.token_hex(8)

    def choose(kind):
        makers = {
            "memory": lambda: MemoryShelf(BUDGET),
            "folder": lambda: FolderShelf(LocalFolder(tmp_path), BUDGET),
            "fronted": lambda: FrontedShelf(FolderShelf(LocalFolder(tmp_path), BUDGET), BUDGET // 4),
            "file://": lambda: FolderShelf(UrlFolder(f"file://{tmp_path}/deeper"), BUDGET),
            "memory://": lambda: FolderShelf(UrlFolder(f"memory://{name}"), BUDGET),
        }
        return makers[kind]

    return choose


@pytest.mark.parametrize("kind", KINDS)
def test_the_budget_holds_and_the_newest_stay(opener, kind):
    store = opener(kind)()
    for first in range(0, 60, 6):
        for key in KEYS[first : first + 6]:
            store.put(key, ENTRY)
        kept = [i for i in range(first + 6) if KEYS[i] in store]
        assert len(kept) <= 20
        assert kept == list(range(first + 6 - len(kept), first + 6))
    assert len(kept) >= 14


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_needed_stays(opener, kind):
    store = opener(kind)()
    for n, key in enumerate(KEYS[:50]):
        store.put(key, ENTRY)
        store.need([KEYS[0], KEYS[3], KEYS[7], "unknown"])
        assert n < 15 or all(KEYS[i] in store for i in (0, 3, 7))
    assert KEYS[49] in store
    assert KEYS[20] not in store


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_fetched_was_useful(opener, kind):
    store = opener(kind)()
    for key in KEYS[:50]:
        store.put(key, ENTRY)
        assert store.get(KEYS[0]) == ENTRY
    assert KEYS[1] not in store
    assert store.get(KEYS[1]) is None


@pytest.mark.parametrize("kind", ["folder", "fronted", "file://", "memory://"])
def test_what_another_process_needs_stays(opener, kind):
    open_it = opener(kind)
    one, other = open_it(), open_it()
    for key in KEYS[:10]:
        one.put(key, ENTRY)
    assert KEYS[2] in other
    other.need([KEYS[2]])
    for key in KEYS[10:22]:
        one.put(key, ENTRY)
    assert KEYS[2] in open_it()
    assert KEYS[1] not in open_it()
    assert KEYS[3] not in open_it()


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_of_a_trajectorys_keys_is_found(opener, kind):
    store = opener(kind)()
    for n in (0, 2, 5):
        store.put(KEYS[n], ENTRY)
    assert [store.last(KEYS[:8], end) for end in range(9)] == [0, 0, 0, 2, 2, 2, 5, 5, 5]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_dropped_is_gone_and_may_come_again(opener, kind):
    store = opener(kind)()
    for _ in range(50):
        store.put(KEYS[0], ENTRY)
        assert KEYS[0] in store
        store.drop(KEYS[0])
        store.drop(KEYS[1])
        assert KEYS[0] not in store
        assert store.get(KEYS[0]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_beyond_the_budget_throws_nothing_out(opener, kind):
    store = opener(kind)()
    store.put(KEYS[0], ENTRY)
    store.put(KEYS[1], Sealed(b"s" * (BUDGET + 1), b"r"))
    assert KEYS[0] in store
    assert KEYS[1] not in store


def test_small_entries_are_bounded_in_number(tmp_path):
    store = FolderShelf(LocalFolder(tmp_path), BUDGET)
    for key in KEYS:
        store.put(key, Sealed(b"s", b"r"))
    assert len(list(tmp_path.iterdir())) <= 2 * 20


def test_what_others_wrote_counts(tmp_path):
    for first in range(0, 200, 10):
        store = FolderShelf(LocalFolder(tmp_path), BUDGET)
        for key in KEYS[first : first + 10]:
            store.put(key, ENTRY)
    assert len(list(tmp_path.glob("*.json"))) <= 20


def test_a_state_without_a_record_is_no_entry_and_makes_room(tmp_path):
    store = FolderShelf(LocalFolder(tmp_path), BUDGET)
    orphan = tmp_path / f"{KEYS[300]}.safetensors"
    orphan.write_bytes(ENTRY.state)
    os.utime(orphan, (1, 1))
    assert KEYS[300] not in store
    for key in KEYS[:30]:
        store.put(key, ENTRY)
    assert not orphan.exists()


def test_a_record_without_a_state_is_no_entry_and_is_replaced(tmp_path):
    FolderShelf(LocalFolder(tmp_path), BUDGET).put(KEYS[0], ENTRY)
    (tmp_path / f"{KEYS[0]}.safetensors").unlink()
    store = FolderShelf(LocalFolder(tmp_path), BUDGET)
    assert store.get(KEYS[0]) is None
    store.put(KEYS[0], ENTRY)
    assert store.get(KEYS[0]) == ENTRY


def test_half_written_files_are_not_seen_and_go_in_time(tmp_path):
    half = tmp_path / f".{KEYS[0]}.json.abcd.half"
    half.write_bytes(b"{")
    os.utime(half, (1, 1))
    fresh = tmp_path / f".{KEYS[2]}.json.abcd.half"
    fresh.write_bytes(b"{")
    store = FolderShelf(LocalFolder(tmp_path), BUDGET)
    assert KEYS[0] not in store
    assert [path.name for path in tmp_path.iterdir()] == [fresh.name]


def test_notes_of_what_was_useful_go_in_time(tmp_path):
    note = tmp_path / f"feed{url_folder.USEFUL}"
    for text, stays in (('{"a.json": 1}', False), (f'{{"a.json": {time.time()}}}', True), ("noise", True)):
        note.write_text(text)
        assert UrlFolder(f"file://{tmp_path}").files() == {}
        assert note.exists() == stays


WRITER = """
import sys
from pathlib import Path
from lrsearch.training.folder import LocalFolder
from lrsearch.training.seal import Sealed
from lrsearch.training.shelf import FolderShelf, SMALLEST_CHARGE
folder, name = Path(sys.argv[1]), sys.argv[2]
store = FolderShelf(LocalFolder(folder), 40 * SMALLEST_CHARGE)
for n in range(300):
    store.put(f"{name}{n}", Sealed(b"s" * 1000, b"r" * 100))
"""


def test_the_budget_holds_while_two_processes_write(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in "ab"]
    most = 0
    while any(writer.poll() is None for writer in writers):
        most = max(most, len(list(Path(tmp_path).glob("*.json"))))
    assert [writer.wait() for writer in writers] == [0, 0]
    assert 20 <= most <= 40
    assert 20 <= len(list(tmp_path.glob("*.json"))) <= 40


@pytest.mark.parametrize("kind", ["memory", "fronted"])
def test_memory_stays_flat(opener, kind):
    store = opener(kind)()
    tracemalloc.start()
    try:
        used = []
        for first in (0, 60):
            for key in KEYS[first : first + 60]:
                store.put(key, Sealed(bytes(SMALLEST_CHARGE), b"r"))
                store.need([key])
            used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert used[1] <= used[0] + 2 * SMALLEST_CHARGE
    assert used[1] <= 1.2 * BUDGET
