"""How much a caller may do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lrsearch.api import buckets
from lrsearch.api.buckets import Buckets


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.floats(0.5, 100), st.integers(1, 50), st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=80)
)
def test_nobody_takes_more_than_the_burst_and_what_flows_in(
    per_second: float, burst: int, calls: list[tuple[str, float]]
) -> None:
    clock = Clock()
    limits = Buckets(per_second, burst, clock)
    taken: dict[str, list[float]] = {"a": [], "b": []}
    for key, pause in calls:
        clock.now += pause
        wait = limits.take(key)
        if wait == 0:
            taken[key].append(clock.now)
        else:
            # who waits as long as was said gets one, and not much earlier
            before = clock.now
            clock.now = before + 0.5 * wait
            assert limits.take(key) > 0
            clock.now = before + wait + 1e-6
            assert limits.take(key) == 0
            taken[key].append(clock.now)
    for moments in taken.values():
        for first in range(len(moments)):
            for last in range(first, len(moments)):
                allowed = burst + per_second * (moments[last] - moments[first]) + 1e-3
                assert last - first + 1 <= allowed


def test_buckets_that_are_full_again_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(buckets, "MOST_BUCKETS", 3)
    clock = Clock()
    limits = Buckets(1.0, 1.0, clock)
    for key in range(3):
        assert limits.take(key) == 0
    clock.now += 10
    for key in range(10, 13):
        assert limits.take(key) == 0
        assert limits.take(key) > 0
        clock.now += 0.1
    assert len(limits._full_at) <= 4
