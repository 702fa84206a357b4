"""A service with short leases as a process of its own. No trial is given up."""

from __future__ import annotations

import ctypes
import os
from multiprocessing.connection import Connection

from lrsearch import launch
from lrsearch.service import Service, Settings
from lrsearch.store import Store

CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION = 0x20080522
"""Of Linux' ``capset``: two words of 32 bits for each of effective, permitted, inheritable."""


def main(url: str, port: int, lease_seconds: float, said: Connection) -> None:
    """Answer on ``port`` (0 = a free one) until told to end; what it says for people is sent to ``said``."""
    if os.getuid() == 0:
        obey_permissions()
    store = Store(url)
    store.migrate()
    service = Service(store, Settings(lease_seconds=lease_seconds, max_lost=1000, poison_seconds=0))
    launch.serve(service, port=port, n_workers=0, say=said.send)
    store.close()


def obey_permissions() -> None:
    """Give up root's right to write to files that are read-only."""
    libc = ctypes.CDLL(None)
    header, rights = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, rights) == 0
    rights[0] &= ~(1 << CAP_DAC_OVERRIDE)
    assert libc.capset(header, rights) == 0
