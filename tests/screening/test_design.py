"""Batches follow their stated trade-off, and learn faster than chance where there is something to learn."""

import numpy as np
import pytest

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.design import Answer, TradeOff, choose_batch, simulate_rounds


def candidates(count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = generator(0, "candidates")
    return rng.normal(size=count), rng.uniform(0, 1, count), rng.normal(size=(count, 10))


def test_without_weights_it_is_the_best_predicted():
    gains, spread, deltas = candidates()
    found = choose_batch(gains, spread, deltas, 10, TradeOff(0.0, 0.0))
    assert found.rows.tolist() == np.argsort(-gains)[:10].tolist()


def test_each_choice_has_the_best_value_given_those_before():
    gains, spread, deltas = candidates()
    trade = TradeOff(0.7, 0.4)
    found = choose_batch(gains, spread, deltas, 8, trade)
    unit = (deltas - deltas.mean(axis=0)) / np.linalg.norm(deltas - deltas.mean(axis=0), axis=1, keepdims=True)
    for place in range(8):
        before = found.rows[:place]
        shared = np.square(np.maximum(unit @ unit[before].T, 0)).sum(axis=1)
        value = (gains - gains.mean()) / gains.std() + 0.7 * spread / gains.std() - 0.4 * np.log2(1 + shared)
        value[before] = -np.inf
        assert found.rows[place] == value.argmax()
        assert found.value[place] == pytest.approx(value.max())


def test_twins_are_spread_out_by_diversity():
    gains = np.concatenate([np.full(20, 2.0), np.full(20, 1.8), np.full(20, -2.0)])
    directions = np.repeat(np.eye(3), 20, axis=0)
    alike = choose_batch(gains, np.zeros(60), directions, 10, TradeOff(0.0, 0.0))
    spread = choose_batch(gains, np.zeros(60), directions, 10, TradeOff(0.0, 1.0))
    assert (alike.rows < 20).all()
    assert 3 <= (spread.rows < 20).sum() <= 7


def test_a_budget_beyond_the_candidates_takes_all():
    found = choose_batch(*candidates(5), 48, TradeOff())
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3, 4]


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(UsageError):
        choose_batch(*candidates(5), 0, TradeOff())


def test_what_can_be_learnt_is_found_faster_than_by_chance():
    """Effects are linear in known vectors, as a ridge regression can learn them."""
    rng = generator(1, "linear world")
    vectors = rng.normal(size=(120, 6))
    observed = vectors @ rng.normal(size=6) + 0.2 * rng.normal(size=120)

    def learn(known: np.ndarray, seed: int) -> Answer:
        kernel = vectors[known].T @ vectors[known] + np.eye(6)
        gains = vectors @ np.linalg.solve(kernel, vectors[known].T @ observed[known])
        spread = np.sqrt(np.einsum("nd,de,ne->n", vectors, np.linalg.inv(kernel), vectors))
        return Answer(gains, spread, vectors)

    rounds = simulate_rounds(observed, learn, trade=TradeOff(), batch=10, rounds=3)
    last = {one.strategy: one for one in rounds}
    assert last["random"].measured == 40
    assert last["design"].found.low > last["random"].found.high
    assert last["top"].found.low > last["random"].found.high
    assert last["design"].regret.value < last["random"].regret.value
    # chance alone has measured a third of everything by then
    assert last["random"].found.value == pytest.approx(40 / 120, abs=0.12)


def test_the_same_seed_gives_the_same_rounds():
    gains, spread, deltas = candidates(30)

    def learn(known: np.ndarray, seed: int) -> Answer:
        return Answer(gains, spread, deltas)

    first, second = (simulate_rounds(gains, learn, trade=TradeOff(), batch=4, seed=5) for _ in range(2))
    assert first == second
    # a share has no interval beyond nothing and all, a regret none below nothing
    assert all(0 <= one.found.low <= one.found.high <= 1 and one.regret.low >= 0 for one in first)
