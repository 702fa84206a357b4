from __future__ import annotations

from lrsearch.study import TaskOffer


def test_offers_are_what_was_announced_last(store):
    first = TaskOffer(
        name="b", train_examples=10, metrics={"z": "minimize", "a": "maximize"}, options_schema={"x": [1]}
    )
    second = TaskOffer(name="a", has_test=True, optimizers=("sgd",))
    with store.transaction() as tx:
        assert tx.offers.all() == []
        assert tx.offers.find("b") is None
        tx.offers.put(first)
        tx.offers.put(second)
    newer = first.model_copy(update={"version": "2"})
    with store.transaction() as tx:
        assert tx.offers.find("b") == first
        assert list(tx.offers.find("b").metrics) == ["z", "a"]
        tx.offers.put(newer)
        assert tx.offers.all() == [second, newer]
