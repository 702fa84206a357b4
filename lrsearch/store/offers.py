"""Task offers in the store: what workers announced."""

from __future__ import annotations

from sqlalchemy import select

from ..study import TaskOffer
from .columns import from_json, to_json
from .noun import Noun
from .tables import OFFERS


class Offers(Noun):
    """The verbs on task offers."""

    def put(self, offer: TaskOffer) -> None:
        """Store a task as announced last."""
        self._put(OFFERS, [{"name": offer.name, "rest": to_json(offer.model_dump(mode="json"))}])

    def find(self, name: str) -> TaskOffer | None:
        """A task as announced last, or None."""
        rest = self._connection.execute(select(OFFERS.c.rest).where(OFFERS.c.name == name)).scalar_one_or_none()
        return None if rest is None else TaskOffer.model_validate(from_json(rest))

    def all(self) -> list[TaskOffer]:
        """Every task ever announced, by name."""
        offers = [
            TaskOffer.model_validate(from_json(rest))
            for rest in self._connection.execute(select(OFFERS.c.rest)).scalars()
        ]
        return sorted(offers, key=lambda offer: offer.name)
