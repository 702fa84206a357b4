"""The store: the only SQLAlchemy. Tables, verbs by noun, migrations."""

from .climbing import Stand
from .copies import back_up, put_back
from .failures import is_complaint
from .holding import Free, HeldTrial
from .leases import LeaseRow
from .points import Added, Arrival
from .store import Store
from .transaction import Transaction

__all__ = [
    "Added",
    "Arrival",
    "Free",
    "HeldTrial",
    "LeaseRow",
    "Stand",
    "Store",
    "Transaction",
    "back_up",
    "is_complaint",
    "put_back",
]
