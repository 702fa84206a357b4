"""Where the lanes of one program stand: all at the same update."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InvalidInput


class Position:
    """The update that a program's lanes stand at.

    Batches, masks and the optimiser's count are those of one update for all lanes, so a lane of another update would
    silently be trained wrong. A lane that is as its program was made stands nowhere yet: nobody asked for it.

    Attributes:
        update: updates done.
    """

    def __init__(self) -> None:
        self.update = 0
        self._standing: set[int] = set()

    def advance(self, n_updates: int, n_lanes: int) -> None:
        """All lanes were trained."""
        self.update += n_updates
        self._standing = set(range(n_lanes))

    def fork(self, index: Sequence[int]) -> None:
        """Lane i became a copy of lane ``index[i]``."""
        self._standing = {lane for lane, source in enumerate(index) if source in self._standing}

    def check(self, lane: int, update: int) -> None:
        """Look whether a lane may be given a state of ``update``.

        Raises:
            InvalidInput: others stand at another one.
        """
        if update != self.update and self._standing - {lane}:
            raise InvalidInput(
                f"all lanes of a program stand at one update: these at update {self.update} (got {update})"
            )

    def load(self, lane: int, update: int) -> None:
        """A lane was given a state of ``update``."""
        self.update = update
        self._standing.add(lane)
