"""Trained epochs in the store, by their keys: what is trained again is told from what is trained first."""

from __future__ import annotations

from collections.abc import Collection

from .noun import Noun
from .tables import TRAINED


class Trained(Noun):
    """The verbs on a study's trained epochs."""

    def add(self, study: str, keys: Collection[bytes]) -> set[bytes]:
        """Note that epochs were trained.

        Args:
            study: the study's name.
            keys: the epochs' plan keys.

        Returns:
            Those that had not been trained before.
        """
        if not keys:
            return set()
        rows = [{"study": study, "key": key} for key in dict.fromkeys(keys)]
        return set(self._connection.execute(self._new(TRAINED).returning(TRAINED.c.key), rows).scalars())
