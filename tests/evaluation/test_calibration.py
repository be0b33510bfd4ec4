from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pertura.core.expression import InMemory
from pertura.evaluation.calibration import false_positives, significant_by_batch
from screens import measured, pairs_screen, perturbed

GENES = [f"G{i}" for i in range(200)]


def screen(seed=0, shift=0.0, batches=0, effect=0.0, cells=60):
    """Cells of normal values, in batches that differ by `shift`."""
    made = measured(GENES, {"": np.full(200, 9.0)}, {perturbed("G0"): np.zeros(200)}, cells=cells, batches=batches)
    rng = np.random.default_rng(seed)
    own = 9 + rng.normal(size=(len(made), 200))
    if batches:
        own += shift * rng.normal(size=(batches, 200))[made.batch_codes]
    own[made.rows_of(perturbed("G0")), :20] += effect
    return replace(made, expression=InMemory(own))


def test_where_all_controls_are_alike_one_gene_in_twenty_is_called():
    rates = [false_positives(screen(seed), "", 40, 0) for seed in range(5)]
    assert np.mean([one.drawn for one in rates]) == pytest.approx(0.05, abs=0.01)
    assert all(np.isnan(one.batches) for one in rates)
    assert not any(one.suspicious for one in rates)
    assert "5 % are expected" in rates[0].told


def test_batches_that_differ_are_called_and_said_to_be_suspicious():
    apart = false_positives(screen(shift=1.0, batches=3), "", 40, 0)
    assert apart.drawn == pytest.approx(0.05, abs=0.03)
    assert apart.batches > 0.3
    assert apart.suspicious
    assert "batches" in apart.told


def test_too_few_controls_give_no_rate():
    few = pairs_screen(batches=0)
    rows = np.setdiff1d(np.arange(len(few.cells)), few.cells.control_rows("K562")[30:])
    found = false_positives(few.cells.take(rows), "K562", 20, 0)
    assert np.isnan(found.drawn)
    assert found.told == "too few controls"
    assert not found.suspicious


def test_the_rate_does_not_depend_on_the_order_of_cells():
    cells = screen()
    turned = cells.take(np.random.default_rng(0).permutation(len(cells)))
    assert false_positives(turned, "", 40, 0).drawn == pytest.approx(false_positives(cells, "", 40, 0).drawn)


def test_batches_as_the_unit_of_replication_give_welchs_test_of_their_means():
    cells = screen(shift=0.2, batches=5, effect=3.0)
    one = perturbed("G0")
    means = [
        np.asarray([cells.dense(rows[cells.batch_codes[rows] == batch]).mean(axis=0) for batch in range(5)])
        for rows in (cells.rows_of(one), cells.control_rows(""))
    ]
    p = stats.ttest_ind(*means, equal_var=False).pvalue
    expected = (stats.false_discovery_control(p) < 0.05).sum()
    found = significant_by_batch(cells, (one,), {"": cells.control_rows("")})
    assert found.tolist() == [expected]
    assert expected >= 15


def test_cells_as_the_unit_call_what_batches_as_the_unit_do_not():
    """Perturbed cells of other batches than the controls: every gene seems to differ."""
    cells = screen(shift=1.0, batches=6)
    rows = cells.rows_of(perturbed("G0"))
    own, others = rows[cells.batch_codes[rows] < 3], cells.control_rows("")
    others = others[cells.batch_codes[others] >= 3]
    some = cells.take(np.concatenate([own, others]))
    assert significant_by_batch(some, (perturbed("G0"),), {"": some.control_rows("")})[0] <= 5
    assert false_positives(cells, "", 40, 0).batches > 0.3


@pytest.mark.parametrize("batches", [0, 2])
def test_fewer_than_three_batches_say_nothing(batches):
    cells = screen(batches=batches)
    assert np.isnan(significant_by_batch(cells, (perturbed("G0"),), {"": cells.control_rows("")})).all()
