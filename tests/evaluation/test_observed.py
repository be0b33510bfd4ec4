from dataclasses import replace

import numpy as np
import pytest
from judged_screens import MADE, QUICK, observed_of, with_few_cells

from pertura.core import Condition, ControlPartition, Perturbation
from pertura.core.errors import BadDataError
from pertura.data.pseudobulk import pseudobulk
from pertura.evaluation.detectable import detectable, effect_p_values
from pertura.evaluation.effort import Effort
from pertura.evaluation.observed import observe
from screens import measured, pairs_screen, perturbed, reordered, split_of, with_nan


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param]()


@pytest.fixture(scope="module")
def observed(screen):
    return observed_of(screen)


def side_rows(screen, side):
    pick = screen.split.judge_controls if side == "judge" else screen.split.model_controls
    return {one: pick(screen.cells, one) for one in screen.cells.contexts}


def test_means_are_the_pseudobulk_against_either_side_of_the_controls(screen, observed):
    judge, model = (pseudobulk(screen.cells, screen.asked, side_rows(screen, side)) for side in ("judge", "model"))
    assert observed.conditions == screen.asked
    np.testing.assert_allclose(observed.means, judge.means, rtol=1e-12)
    np.testing.assert_allclose(observed.controls, judge.controls, rtol=1e-9)
    np.testing.assert_allclose(observed.model_controls, model.controls, rtol=1e-9)
    assert observed.counts.tolist() == judge.counts.tolist()


def test_train_cells_have_no_influence(screen, observed):
    rows = np.concatenate([screen.cells.rows_of(one) for one in screen.split.train | screen.split.valid])
    other = observed_of(replace(screen, cells=with_nan(screen.cells, rows)))
    for name in ("means", "controls", "model_controls", "effect_p", "signal"):
        assert getattr(other, name).tobytes() == getattr(observed, name).tobytes(), name


def test_each_side_of_the_controls_enters_its_own_mean_alone():
    screen = pairs_screen()
    for side, touched, untouched in (("judge", "controls", "model_controls"), ("model", "model_controls", "controls")):
        rows = side_rows(screen, side)["K562"]
        matrix = screen.cells.dense(np.arange(len(screen.cells)))
        matrix[rows] += 1.0
        moved = replace(screen.cells, expression=replace(screen.cells.expression, matrix=matrix))
        plain, other = observed_of(screen), observed_of(replace(screen, cells=moved))
        np.testing.assert_allclose(getattr(other, touched), getattr(plain, touched) + 1.0, atol=1e-6)
        np.testing.assert_allclose(getattr(other, untouched), getattr(plain, untouched), atol=1e-6)


def test_targets_of_judged_perturbations_are_not_kept_and_all_else_is(observed):
    targets = {gene for one in observed.conditions for gene in one.genes}
    assert {gene for gene, kept in zip(observed.genes, observed.kept) if not kept} == targets & set(observed.genes)


def test_the_order_of_cells_and_genes_changes_nothing_beyond_rounding(screen, observed):
    other = observed_of(replace(screen, cells=reordered(screen.cells)))
    columns = [other.genes.index(gene) for gene in observed.genes]
    for name in ("means", "controls", "model_controls"):
        np.testing.assert_allclose(getattr(other, name)[:, columns], getattr(observed, name), rtol=1e-9)
    np.testing.assert_array_equal(other.effect_p, observed.effect_p)
    np.testing.assert_allclose(other.signal, observed.signal, rtol=1e-5)


def test_redrawn_deltas_are_as_long_as_the_observed_ones():
    """A plain redraw adds the noise of the cells twice; the redrawn delta must not be longer than what was observed."""
    observed = observed_of(pairs_screen(noise=3.0), effort=replace(QUICK, bootstrap=300))
    length = np.square(observed.means - observed.controls).sum(axis=1)
    found = np.zeros(len(length))
    for draw in range(300):
        means, controls = observed.redrawn(draw)
        found += np.square(means - controls).sum(axis=1) / 300
    seen = observed.detectable & (observed.signal > 0)
    assert seen.sum() >= 2
    np.testing.assert_allclose(found[seen], length[seen], rtol=0.1)


def test_signal_is_the_share_of_a_delta_that_is_not_noise():
    """Known signal and noise: |delta|^2 / (|delta|^2 + noise of the two means), on average over screens."""
    genes = [f"G{i}" for i in range(200)]
    effect = 0.6 * np.ones(200)
    shares = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        cells = measured(
            genes, {"": 50.0 + np.zeros(200)}, {perturbed("G0"): effect, perturbed("G1"): effect}, cells=20
        )
        noise = rng.normal(size=(len(cells), 200))
        own = 50.0 + np.where(cells.is_control[:, None], 0.0, 0.6) + 2.0 * noise
        noisy = replace(cells, expression=replace(cells.expression, matrix=own))
        split = split_of(noisy, [perturbed("G0")])
        observed = observe(noisy, split, effort=Effort(60, 1, 1, 19))
        shares.append(observed.signal[0])
    noise = 4.0 / 20 + 4.0 / 30  # 20 cells and 30 judge-side controls of variance 4
    assert np.mean(shares) == pytest.approx(0.36 / (0.36 + noise), abs=0.04)


def test_what_has_no_detectable_effect_has_no_signal():
    observed = observed_of(pairs_screen(noise=6.0))
    assert not observed.detectable.all()
    assert not observed.signal[~observed.detectable].any()


def test_conditions_without_cells_are_left_out_and_named():
    screen = pairs_screen()
    nobody = perturbed("G14", "K562")
    observed = observe(screen.cells, screen.split, [*screen.asked, nobody], effort=QUICK)
    assert nobody not in observed.conditions
    assert any("not judged, because no cells of them are there: 1: G14@K562" in text for text in observed.warnings)
    with pytest.raises(BadDataError, match="no cells of the 1 conditions to judge"):
        observe(screen.cells, screen.split, [nobody], effort=QUICK)


def test_what_makes_a_score_doubtful_is_said():
    screen = pairs_screen()
    ids = tuple(str(one) for one in screen.cells.ids[screen.cells.control_rows("K562")])
    shared = replace(screen, split=replace(screen.split, controls={"K562": ControlPartition.shared(ids)}))
    observed = observed_of(shared)
    assert observed.shared_controls
    assert any("the same control cells serve both sides" in text for text in observed.warnings)
    few = observed_of(with_few_cells(screen, screen.asked[0], 3)).warnings
    assert any("fewer than 25 cells: " in text and screen.asked[0].label in text for text in few)
    assert any("only 30 control cells on the judge side" in text for text in few)


def test_cells_of_batches_without_controls_are_counted_and_named():
    screen = pairs_screen(batches=2)
    rows = screen.cells.control_rows("K562")
    lonely = np.setdiff1d(np.arange(len(screen.cells)), rows[screen.cells.batch_codes[rows] == 1])
    cells = screen.cells.take(lonely)
    observed = observe(cells, split_of(cells, screen.asked), effort=QUICK)
    total = sum(int((cells.batch_codes[cells.rows_of(one)] == 1).sum()) for one in screen.asked)
    assert any(f"{total} judged cells lie in batches without control cells" in text for text in observed.warnings)


def test_a_context_without_controls_is_refused():
    screen = MADE["contexts"]()
    split = replace(screen.split, controls={name: one for name, one in screen.split.controls.items() if name != "RPE1"})
    with pytest.raises(BadDataError, match="no control cells for context 'RPE1'"):
        observe(screen.cells, split, effort=QUICK)


def test_a_strong_effect_is_detected_and_none_is_not():
    genes = [f"G{i}" for i in range(10)]
    strong, weak = perturbed("G0"), perturbed("G1")
    cells = measured(genes, {"": np.full(10, 5.0)}, {strong: np.full(10, 1.0), weak: np.zeros(10)}, cells=40)
    p = effect_p_values(cells, [strong, weak], 199, seed=0)
    assert p[0] == 1 / 200
    assert p[1] > 0.05
    assert detectable(p).tolist() == [True, False]


def test_an_undefined_p_value_is_not_detectable_and_the_threshold_counts():
    assert detectable(np.asarray([np.nan, 0.05, 0.0501, 0.0])).tolist() == [False, True, False, True]


def test_p_values_do_not_depend_on_the_other_conditions():
    screen = pairs_screen(noise=3.0)
    whole = effect_p_values(screen.cells, screen.asked, 39, seed=1)
    alone = effect_p_values(screen.cells, screen.asked[2:3], 39, seed=1)
    assert whole[2] == alone[0]


def test_only_the_most_cells_that_are_needed_take_part_whatever_their_order():
    genes = ["a", "b"]
    one = perturbed("a")
    cells = measured(genes, {"": np.full(2, 5.0)}, {one: np.full(2, 0.1)}, cells=700, noise=1.0)
    first = effect_p_values(cells, [one], 99, seed=0)
    assert first == effect_p_values(reordered(cells), [one], 99, seed=0)


def test_p_values_are_uniform_where_labels_mean_nothing():
    """The same law for all cells: each level is met as often as it says, over many small screens."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cells = measured(
            ["a", "b", "c"], {"": np.full(3, 9.0)}, {perturbed(name): np.zeros(3) for name in "abc"}, cells=8
        )
        matrix = rng.normal(size=(len(cells), 3))
        drawn = replace(cells, expression=replace(cells.expression, matrix=matrix))
        found.append(effect_p_values(drawn, cells.perturbed, 39, seed=seed))
    p = np.concatenate(found)
    for level in (0.05, 0.25, 0.5):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / len(p))


def test_control_is_no_effect():
    screen = pairs_screen()
    control = Condition(Perturbation(), "K562")
    assert effect_p_values(screen.cells, [control], 19, seed=0)[0] == 1.0


def test_without_draws_everything_else_stays(observed):
    bare = observed.without_draws()
    assert not any(len(one) for one in (bare.bootstrap, bare.permuted, *bare.halves))
    assert len(observed.bootstrap) > 0
    assert bare.means is observed.means
    np.testing.assert_array_equal(bare.detectable, observed.detectable)
