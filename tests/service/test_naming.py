"""Names for what comes without one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lrsearch.service.naming import numbered


@given(st.integers(0, 3000))
def test_the_first_number_that_is_free(n_taken: int) -> None:
    taken, looks = {f"mnist-{number}" for number in range(1, n_taken + 1)}, []
    assert numbered("mnist", lambda name: looks.append(name) or name in taken) == f"mnist-{n_taken + 1}"
    assert len(looks) <= 25


@given(st.sets(st.integers(1, 60)))
def test_a_name_is_free_whatever_was_freed_again(numbers: set[int]) -> None:
    assert numbered("x", {f"x-{number}" for number in numbers}.__contains__) not in {f"x-{n}" for n in numbers}
