"""The store: the only SQLAlchemy. Tables, verbs by noun, migrations."""

from .leases import LeaseRow
from .points import Added
from .store import Store
from .transaction import Transaction

__all__ = ["Added", "LeaseRow", "Store", "Transaction"]
