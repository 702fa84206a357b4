"""A service with short leases as a process: ``python host.py URL PORT LEASE_SECONDS``. No trial is given up."""

from __future__ import annotations

import sys

from lrsearch import launch
from lrsearch.service import Service, Settings
from lrsearch.store import Store


def main(url: str, port: int, lease_seconds: float) -> None:
    store = Store(url)
    store.migrate()
    service = Service(store, Settings(lease_seconds=lease_seconds, max_lost=1000, poison_seconds=0))
    launch.serve(service, port=port, n_workers=0, say=lambda line: print(line, flush=True))
    store.close()


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
