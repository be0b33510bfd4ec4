from dataclasses import replace

import numpy as np
import pytest

from pertura.core import Condition, Mode, Perturbation, Scope
from pertura.core.errors import BadDataError, ContextError, ModeError, UnknownGeneError
from screens import SCALE, pairs_screen, perturbed


@pytest.fixture(scope="module")
def cells():
    return pairs_screen().cells


@pytest.fixture(scope="module")
def controls(cells):
    return cells.take(cells.control_rows("K562"))


@pytest.fixture
def scope(cells):
    return Scope(cells.genes, frozenset({"KLF1"}), frozenset({Mode.ACTIVATION}), SCALE)


def test_controls_come_back_on_the_panel_of_the_model(scope, controls):
    panel = tuple(reversed(controls.genes))
    checked = replace(scope, panel=panel).check(controls, [perturbed("G00+KLF1", "K562")])
    assert checked.genes == panel
    rows = np.arange(len(controls))
    np.testing.assert_array_equal(checked.dense(rows), controls.dense(rows)[:, ::-1])


def test_control_itself_may_be_asked(scope, controls):
    assert len(scope.check(controls, [Condition(Perturbation(), "K562")])) == len(controls)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (perturbed("G00+ABC99", "K562"), UnknownGeneError, "ABC99"),
        (perturbed("G00", "K562", Mode.KNOCKOUT), ModeError, "learnt activation, asked for knockout"),
        (perturbed("G00", "RPE1"), ContextError, "of K562, the conditions of RPE1"),
        (perturbed("G00"), ContextError, "an unnamed context"),
    ],
)
def test_what_was_never_learnt_is_refused_and_named(scope, controls, asked, error, message):
    with pytest.raises(error, match=message):
        scope.check(controls, [perturbed("G00", "K562"), asked])


def test_perturbed_cells_are_no_controls(scope, cells):
    with pytest.raises(BadDataError, match="control cells, some of these are perturbed"):
        scope.check(cells, [perturbed("G00", "K562")])


def test_counts_are_refused_by_a_model_of_logarithms(scope, controls):
    counts = replace(controls, scale=replace(SCALE, kind="counts"))
    with pytest.raises(BadDataError, match="scale counts, the model learnt on lognormalised"):
        scope.check(counts, [perturbed("G00", "K562")])


def test_controls_without_a_gene_of_the_panel_are_refused(scope, controls):
    with pytest.raises(BadDataError, match="lacks 1 of 15 genes"):
        scope.check(controls.with_genes(controls.genes[1:]), [perturbed("G01", "K562")])


def test_unknown_is_what_neither_panel_nor_knowledge_has(scope):
    assert scope.unknown(["G00", "KLF1", "ABC99"]) == {"ABC99"}
