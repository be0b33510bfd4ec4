"""From models to cells: means, matching in batch, cells per condition, and refusal of bad answers."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from pertura.core import ControlPartition, Prediction, Provenance
from pertura.core.errors import BadDataError, DivergedError, LeakError, UsageError
from pertura.data.pseudobulk import batch_weights
from pertura.models.table import MODELS
from pertura.prediction.emit import EMITTERS
from pertura.prediction.predict import predict
from screens import SCREENS, Screen, contexts_screen, pairs_screen, with_nan


@pytest.fixture(params=SCREENS)
def screen(request) -> Screen:
    return SCREENS[request.param]()


class Shifted:
    """A model that answers in cells: each control, one unit higher; row i belongs to control i."""

    def __init__(self, change=lambda prediction: prediction):
        self.change = change
        self.asked = []

    def predict(self, controls, conditions, *, seed):
        self.asked.append((controls, tuple(conditions)))
        values = controls.dense(np.arange(len(controls)))
        cells = dict.fromkeys(conditions, values + 1.0)
        return self.change(Prediction(controls.genes, cells, Provenance("shifted")))

    def fit(self, cells, split, *, seed): ...

    def save(self, folder): ...

    @classmethod
    def load(cls, folder): ...


def fitted(name: str, screen: Screen):
    model = MODELS[name].build(None)
    model.fit(screen.cells, screen.split, seed=0)
    return model


def matched_mean(screen: Screen, condition) -> np.ndarray:
    """The mean of the model-side controls, weighted over the batches of the condition's observed cells."""
    rows = screen.split.model_controls(screen.cells, condition.context)
    weights, _ = batch_weights(screen.cells, screen.cells.rows_of(condition), rows)
    return weights @ screen.cells.dense(rows)


@pytest.mark.parametrize("emitter", EMITTERS)
def test_the_mean_of_the_cells_is_matched_control_plus_delta(emitter, screen):
    model = fitted("train-mean", screen)
    prediction = predict(model, screen.cells, screen.split, screen.asked, seed=1, emitter=emitter)
    train = sorted(screen.split.train)
    means = [screen.cells.dense(screen.cells.rows_of(one)).mean(axis=0) for one in train]
    delta = np.mean([mean - matched_mean(screen, one) for one, mean in zip(train, means, strict=True)], axis=0)
    for one in screen.asked:
        expected = np.maximum(matched_mean(screen, one) + delta, 0)
        np.testing.assert_allclose(prediction.mean(one), expected, atol=2e-6)


def test_no_change_has_no_delta_against_batch_matched_controls():
    screen = pairs_screen(batches=3)
    prediction = predict(fitted("no-change", screen), screen.cells, screen.split, screen.asked, seed=1)
    for one in screen.asked:
        np.testing.assert_allclose(prediction.mean(one), matched_mean(screen, one), atol=1e-6)


def test_each_condition_has_as_many_cells_as_observed_or_as_asked(screen):
    model = fitted("train-mean", screen)
    given = predict(model, screen.cells, screen.split, screen.asked, seed=1)
    assert all(len(given.cells[one]) == len(screen.cells.rows_of(one)) for one in screen.asked)
    counts = {one: 3 + i for i, one in enumerate(screen.asked)}
    asked = predict(model, screen.cells, screen.split, screen.asked, seed=1, counts=counts)
    assert {one: len(asked.cells[one]) for one in screen.asked} == counts


def test_observed_expression_of_test_has_no_influence(screen):
    model = fitted("additive", screen)
    judged = np.concatenate([screen.cells.rows_of(one) for one in screen.asked])
    poisoned = with_nan(screen.cells, judged)
    first, second = (predict(model, cells, screen.split, screen.asked, seed=1) for cells in (screen.cells, poisoned))
    assert all(first.cells[one].tobytes() == second.cells[one].tobytes() for one in screen.asked)


def test_equal_seeds_give_equal_cells_and_another_seed_others(screen):
    model = fitted("train-mean", screen)
    first, again, other = (predict(model, screen.cells, screen.split, screen.asked, seed=s) for s in (1, 1, 2))
    assert all(first.cells[one].tobytes() == again.cells[one].tobytes() for one in screen.asked)
    assert any(first.cells[one].tobytes() != other.cells[one].tobytes() for one in screen.asked)


def test_cells_of_a_condition_do_not_depend_on_what_else_is_asked(screen):
    model = fitted("train-mean", screen)
    whole = predict(model, screen.cells, screen.split, screen.asked, seed=1)
    alone = predict(model, screen.cells, screen.split, screen.asked[-1:], seed=1)
    assert whole.cells[screen.asked[-1]].tobytes() == alone.cells[screen.asked[-1]].tobytes()


def test_fallbacks_and_provenance_are_carried_on():
    screen = pairs_screen()
    model = fitted("linear", screen)
    prediction = predict(model, screen.cells, screen.split, screen.asked, seed=9, emitter="resampled")
    assert any("KLF1" in why for why in prediction.fallbacks.values())
    assert prediction.provenance.model == "linear"
    assert prediction.provenance.split == screen.split.fingerprint
    assert prediction.provenance.seed == 9
    assert prediction.provenance.versions["emitter"] == "resampled"


def test_cells_drawn_again_and_targets_that_change_nothing_are_said():
    screen = pairs_screen()
    one = screen.asked[0]
    few = predict(fitted("train-mean", screen), screen.cells, screen.split, [one], seed=1, counts={one: 100})
    assert "drawn before" in few.provenance.versions["notes"]
    target_only = predict(fitted("target-only", screen), screen.cells, screen.split, screen.asked, seed=1)
    assert "KLF1 outside the panel" in target_only.provenance.versions["notes"]


def test_an_answer_in_cells_keeps_each_row_with_its_control(screen):
    model = Shifted()
    prediction = predict(model, screen.cells, screen.split, screen.asked, seed=1)
    for controls, conditions in model.asked:
        assert controls.is_control.all()
        assert {one.context for one in conditions} == set(controls.contexts)
        assert len(controls.contexts) == 1
    for one in screen.asked:
        rows = screen.split.model_controls(screen.cells, one.context)
        controls = screen.cells.dense(rows)
        for value, observed in zip(prediction.cells[one], screen.cells.rows_of(one), strict=True):
            source = np.flatnonzero(np.isclose(controls + 1.0, value, atol=1e-6).all(axis=1))
            assert len(source) == 1
            if screen.cells.batch_codes is not None:
                assert screen.cells.batch_codes[rows[source[0]]] == screen.cells.batch_codes[observed]


def test_genes_in_another_order_are_put_in_order(screen):
    def turned(prediction: Prediction) -> Prediction:
        cells = {one: values[:, ::-1] for one, values in prediction.cells.items()}
        return replace(prediction, genes=prediction.genes[::-1], cells=cells)

    first, second = (
        predict(Shifted(change), screen.cells, screen.split, screen.asked, seed=1)
        for change in (lambda one: one, turned)
    )
    assert all(np.array_equal(first.cells[one], second.cells[one]) for one in screen.asked)


def without_last(prediction: Prediction) -> Prediction:
    return replace(prediction, cells=dict(list(prediction.cells.items())[:-1]))


def with_other_genes(prediction: Prediction) -> Prediction:
    return replace(prediction, genes=("OTHER", *prediction.genes[1:]))


def of_another_split(prediction: Prediction) -> Prediction:
    return replace(prediction, provenance=replace(prediction.provenance, split="f" * 64))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (without_last, BadDataError, "no answer"),
        (with_other_genes, BadDataError, "missing"),
        (of_another_split, LeakError, "another|under split"),
    ],
)
def test_bad_answers_are_refused_and_the_model_is_named(change, error, words, screen):
    with pytest.raises(error, match=words) as raised:
        predict(Shifted(change), screen.cells, screen.split, screen.asked, seed=1)
    assert "shifted" in str(raised.value)


def test_an_answer_that_is_not_finite_is_refused_when_it_is_used(screen):
    def broken(prediction: Prediction) -> Prediction:
        last = screen.asked[-1]  # checking types reads the first
        return replace(prediction, cells={**prediction.cells, last: prediction.cells[last] * np.nan})

    prediction = predict(Shifted(broken), screen.cells, screen.split, screen.asked, seed=1)
    with pytest.raises(DivergedError, match="shifted"):
        prediction.mean(screen.asked[-1])


def test_unclear_requests_are_refused(screen):
    model = fitted("train-mean", screen)
    with pytest.raises(UsageError, match="constant"):
        predict(model, screen.cells, screen.split, screen.asked, seed=1, emitter="nonsense")
    with pytest.raises(UsageError, match="nothing to predict"):
        predict(model, screen.cells, screen.split, [], seed=1)
    with pytest.raises(UsageError, match="counts"):
        predict(model, screen.cells, screen.split, screen.asked, seed=1, counts={screen.asked[0]: 0})


def test_a_context_without_model_side_controls_is_refused():
    screen = contexts_screen()
    rows = screen.cells.control_rows("RPE1")
    none = ControlPartition((), tuple(str(one) for one in screen.cells.ids[rows]))
    model = fitted("train-mean", screen)
    split = replace(screen.split, controls={**screen.split.controls, "RPE1": none})
    with pytest.raises(BadDataError, match="RPE1"):
        predict(model, screen.cells, split, screen.asked, seed=1)


def test_cells_are_made_only_when_asked_for(screen):
    class Counting(Mapping):
        def __init__(self, cells):
            self.cells, self.read = cells, 0

        def __getitem__(self, one):
            self.read += 1
            return self.cells[one]

        def __iter__(self):
            return iter(self.cells)

        def __len__(self):
            return len(self.cells)

        def __contains__(self, one):
            return one in self.cells

    kept = []

    def counting(prediction: Prediction) -> Prediction:
        kept.append(Counting(prediction.cells))
        return replace(prediction, cells=kept[-1])

    prediction = predict(Shifted(counting), screen.cells, screen.split, screen.asked, seed=1)
    before = sum(one.read for one in kept)
    assert before <= 4 * len(kept)  # checking types reads an item; nothing reads them all
    _ = prediction.cells[screen.asked[0]]
    assert sum(one.read for one in kept) == before + 1
