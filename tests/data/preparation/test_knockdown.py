"""The knock-down filter keeps what the published one keeps, and says why it does not keep the rest."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from pertura.core import Cells, Condition, Mode, Perturbation, Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory
from pertura.data.preparation import passes
from pertura.data.preparation.knockdown import EXPRESSED, FEW, KEPT, NOT_MEASURED, NOT_SEEN, KnockDown, knocked_down

GENES = ("A", "B", "C", "D", "E")


def screen(mode: Mode = Mode.INTERFERENCE, layout=np.asarray, seed: int = 0) -> Cells:
    """Targets: A falls to 0.1, B to 0.6, C to 0.25 but in few cells, D is not expressed, Z is not measured; A+B."""
    rng = np.random.default_rng(seed)
    left = {"A": [0.1, 1, 1, 1, 1], "B": [1, 0.6, 1, 1, 1], "C": [1, 1, 0.25, 1, 1], "A+E": [0.1, 1, 1, 1, 0.1]}
    sizes = {"": 200, "A": 80, "B": 60, "C": 20, "D": 40, "Z": 40, "A+E": 70}
    conditions = tuple(Condition(Perturbation.parse(one, mode)) for one in sizes)
    codes = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    rate = np.asarray([20.0, 20, 20, 0, 20])
    rates = np.asarray([rate * left.get(one, [1] * 5) for one in sizes])[codes]
    order = rng.permutation(len(codes))
    return Cells(
        expression=InMemory(layout(rng.poisson(rates)[order].astype(np.float64))),
        genes=GENES,
        ids=np.asarray([f"cell{i:03d}" for i in order]),
        conditions=conditions,
        codes=codes[order],
        scale=Scale("counts"),
    )


def published(cells: Cells, rule: KnockDown) -> np.ndarray:
    """The three steps as cell-load describes them, cell by cell, for labels of one gene."""
    matrix = cells.dense(np.arange(len(cells)))
    keep = cells.is_control.copy()
    for condition in cells.perturbed:
        if condition.genes[0] not in cells.genes:
            continue
        column = cells.genes.index(condition.genes[0])
        control = matrix[cells.is_control, column].mean()
        own = cells.rows_of(condition)
        if control == 0 or not matrix[own, column].mean() / control < rule.residual:
            continue
        good = own[matrix[own, column] / control < rule.cell_residual]
        if len(good) >= rule.cells:
            keep[good] = True
    return keep


def filtered(cells: Cells, rule: KnockDown):
    return knocked_down(cells, cells.expression, {"": cells.control_rows("")}, rule)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix])
def test_singles_are_filtered_as_published(layout, monkeypatch):
    monkeypatch.setattr(passes, "BLOCK_BYTES", 1)
    cells = screen(layout=layout)
    singles = cells.take(np.flatnonzero([len(cells.conditions[code].genes) < 2 for code in cells.codes]))
    for rule in (KnockDown(), KnockDown(residual=0.7, cell_residual=0.65, cells=5), KnockDown(cells=75)):
        try:
            kept = filtered(singles, rule).keep
        except BadDataError:
            kept = singles.is_control
        np.testing.assert_array_equal(kept, published(singles, rule))


def test_every_condition_has_its_reason():
    found = filtered(screen(), KnockDown())
    fates = {one.label: outcome.fate for one, outcome in found.outcomes.items()}
    assert fates == {"A": KEPT, "B": EXPRESSED, "C": FEW, "D": NOT_SEEN, "Z": NOT_MEASURED, "A+E": KEPT}
    assert found.outcomes[found.of_fate(EXPRESSED)[0]].residuals["B"] == pytest.approx(0.6, abs=0.05)


def test_of_a_pair_both_targets_must_be_knocked_down():
    cells = screen()
    halved = cells.dense(np.arange(len(cells)))
    pair = next(one for one in cells.perturbed if one.perturbation.is_pair)
    halved[cells.rows_of(pair), 4] = 19.0
    found = filtered(replace(cells, expression=InMemory(halved)), KnockDown())
    assert found.outcomes[pair].fate == EXPRESSED


def test_thresholds_come_from_the_given_controls_alone():
    cells = screen()
    some, others = cells.control_rows("")[:100], cells.control_rows("")[100:]
    spoilt = cells.dense(np.arange(len(cells)))
    spoilt[others] = np.nan
    clean = knocked_down(cells, cells.expression, {"": some}, KnockDown())
    other = knocked_down(cells, InMemory(spoilt), {"": some}, KnockDown())
    np.testing.assert_array_equal(clean.keep, other.keep)


def test_activation_is_refused_and_so_is_a_screen_of_which_nothing_stays():
    with pytest.raises(UsageError, match="raises its target"):
        filtered(screen(Mode.ACTIVATION), KnockDown())
    with pytest.raises(BadDataError, match="leaves no perturbed cell"):
        filtered(screen(), KnockDown(residual=0.0))
