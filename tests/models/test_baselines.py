"""Laws of the baselines: closed forms, exactness where their assumption holds, and named fallbacks where not."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.neighbors import NearestNeighbors as SklearnNeighbours

from pertura.core import Condition, Mode, Perturbation, Prediction, Split, Target
from pertura.core.errors import BadDataError, ModeError
from pertura.core.seeds import generator
from pertura.data.pseudobulk import training_pseudobulk
from pertura.models.baselines.baseline import Baseline
from pertura.models.baselines.embedding import gene_scores
from pertura.models.baselines.linear import Linear
from pertura.models.baselines.nearest_neighbours import NearestNeighbours
from pertura.models.baselines.ridge import Ridge
from pertura.models.baselines.rule import DeltaRule
from pertura.models.baselines.rules import RULES
from pertura.priors.prior import GenePrior
from screens import Screen, contexts_screen, controls_of, measured, pairs_screen, perturbed, split_of


def answer(rule: DeltaRule | str, screen: Screen, conditions: Sequence[Condition] = (), prior=None) -> Prediction:
    model = Baseline(RULES[rule]() if isinstance(rule, str) else rule, prior)
    model.fit(screen.cells, screen.split, seed=0)
    return model.predict(controls_of(screen), conditions or screen.asked, seed=0)


def delta(prediction: Prediction, screen: Screen, condition: Condition) -> np.ndarray:
    rows = screen.split.model_controls(screen.cells, condition.context)
    return prediction.mean(condition) - screen.cells.dense(rows).mean(axis=0)


def train_deltas(screen: Screen) -> dict[Condition, np.ndarray]:
    bulk = training_pseudobulk(screen.cells, screen.split)
    return dict(zip(bulk.conditions, bulk.deltas, strict=True))


# ---- means


def test_no_change_is_the_control_mean():
    screen = pairs_screen()
    prediction = answer("no-change", screen)
    assert all(np.allclose(delta(prediction, screen, one), 0, atol=1e-12) for one in screen.asked)


def test_train_mean_is_the_unweighted_mean_of_train_deltas():
    screen = pairs_screen(batches=0)
    controls = screen.cells.dense(screen.split.model_controls(screen.cells, "K562")).mean(axis=0)
    train = sorted(screen.split.train)
    expected = np.mean([screen.cells.dense(screen.cells.rows_of(one)).mean(axis=0) for one in train], axis=0) - controls
    prediction = answer("train-mean", screen)
    for one in screen.asked:
        np.testing.assert_allclose(delta(prediction, screen, one), expected, atol=1e-10)
    assert not prediction.fallbacks


def test_context_mean_is_the_mean_of_its_own_context():
    screen = contexts_screen()
    own = [change for one, change in train_deltas(screen).items() if one.context == "RPE1"]
    prediction = answer("context-mean", screen)
    for one in screen.asked:
        np.testing.assert_allclose(delta(prediction, screen, one), np.mean(own, axis=0), atol=1e-10)


def test_context_mean_of_an_untrained_context_is_the_train_mean_and_says_so():
    screen = contexts_screen()
    moved = [one for one in screen.cells.perturbed if one.context == "RPE1"]
    screen = Screen(screen.cells, split_of(screen.cells, moved), screen.deltas)
    prediction = answer("context-mean", screen)
    assert set(prediction.fallbacks) == set(moved)
    assert "RPE1" in prediction.fallbacks[moved[0]]
    expected = np.mean(list(train_deltas(screen).values()), axis=0)
    np.testing.assert_allclose(delta(prediction, screen, moved[0]), expected, atol=1e-10)


def test_perturbation_mean_is_exact_where_contexts_share_effects():
    screen = contexts_screen(noise=0.0, own=0.0)
    prediction = answer("perturbation-mean", screen)
    shared = [one for one in screen.asked if one.genes != ("G09",)]
    for one in shared:
        np.testing.assert_allclose(delta(prediction, screen, one), screen.deltas[one], atol=1e-5)
    assert set(prediction.fallbacks) == set(screen.asked) - set(shared)
    assert all("G09" in why for why in prediction.fallbacks.values())


def test_perturbation_mean_leaves_out_the_context_itself():
    screen = contexts_screen()
    seen = perturbed("G00", "RPE1", Mode.INTERFERENCE)
    expected = np.mean([train_deltas(screen)[perturbed("G00", one, Mode.INTERFERENCE)] for one in ("A549", "HepG2")], 0)
    np.testing.assert_allclose(delta(answer("perturbation-mean", screen, [seen]), screen, seen), expected, atol=1e-10)


# ---- pairs


def test_additive_is_exact_where_effects_add():
    screen = pairs_screen(noise=0.0)
    prediction = answer("additive", screen)
    for one in (perturbed("G02+G03", "K562"), perturbed("G04+KLF1", "K562")):
        assert one not in prediction.fallbacks
        np.testing.assert_allclose(delta(prediction, screen, one), screen.deltas[one], atol=1e-5)


def test_additive_fills_a_missing_single_with_the_train_mean_and_names_it():
    screen = pairs_screen()
    known = train_deltas(screen)
    mean = np.mean(list(known.values()), axis=0)
    prediction = answer("additive", screen)
    half, none = perturbed("G06+KLF1", "K562"), perturbed("G06+G07", "K562")
    expected = known[perturbed("KLF1", "K562")] + mean
    np.testing.assert_allclose(delta(prediction, screen, half), expected, atol=1e-10)
    assert prediction.fallbacks[half].startswith("G06: not a single of train")
    np.testing.assert_allclose(delta(prediction, screen, none), mean, atol=1e-10)
    assert prediction.fallbacks[none].startswith("G06 and G07: not a single of train: answered with train-mean")
    assert perturbed("G06", "K562") in prediction.fallbacks


def test_additive_takes_singles_from_other_contexts_where_its_own_has_none():
    screen = contexts_screen()
    pair = perturbed("G00+G04", "RPE1", Mode.INTERFERENCE)
    known = train_deltas(screen)
    other = [known[perturbed("G04", one, Mode.INTERFERENCE)] for one in ("A549", "HepG2")]
    expected = known[perturbed("G00", "RPE1", Mode.INTERFERENCE)] + np.mean(other, axis=0)
    prediction = answer("additive", screen, [pair])
    np.testing.assert_allclose(delta(prediction, screen, pair), expected, atol=1e-10)
    assert not prediction.fallbacks


def test_matching_mean_is_the_mean_of_the_singles_that_were_seen():
    screen = pairs_screen()
    known = train_deltas(screen)
    prediction = answer("matching-mean", screen)
    both, half = perturbed("G02+G03", "K562"), perturbed("G06+KLF1", "K562")
    midway = (known[perturbed("G02", "K562")] + known[perturbed("G03", "K562")]) / 2
    np.testing.assert_allclose(delta(prediction, screen, both), midway, atol=1e-10)
    np.testing.assert_allclose(delta(prediction, screen, half), known[perturbed("KLF1", "K562")], atol=1e-10)
    assert both not in prediction.fallbacks
    assert "KLF1 alone" in prediction.fallbacks[half]
    assert "train-mean" in prediction.fallbacks[perturbed("G06+G07", "K562")]


# ---- the target alone


def test_target_only_changes_the_columns_of_the_targets_and_nothing_else():
    screen = pairs_screen()
    column = {gene: place for place, gene in enumerate(screen.cells.genes)}
    changes = [
        change[column[gene]] for one, change in train_deltas(screen).items() for gene in one.genes if gene in column
    ]
    prediction = answer("target-only", screen)
    for one in screen.asked:
        expected = np.zeros(len(column))
        expected[[column[gene] for gene in one.genes if gene in column]] = np.mean(changes)
        np.testing.assert_allclose(delta(prediction, screen, one), expected, atol=1e-10)
    assert not prediction.fallbacks
    assert "MAP2K6 outside the panel" in prediction.provenance.versions["notes"]


def test_target_only_without_a_measured_target_is_a_fallback():
    screen = pairs_screen()
    narrow = Screen(screen.cells.with_genes(["G08", "G09", "G10"]), screen.split, screen.deltas)
    measured_gene = perturbed("G09", "K562")
    prediction = answer("target-only", narrow, [measured_gene])
    assert "no measured target" in prediction.fallbacks[measured_gene]


# ---- linear


def by_normal_equations(screen: Screen, condition: Condition, components: int, ridge: float) -> np.ndarray:
    """The published formula, written down term by term."""
    bulk = training_pseudobulk(screen.cells, screen.split)
    panel = list(screen.cells.genes)
    usable = [i for i, one in enumerate(bulk.conditions) if set(one.genes) <= set(panel)]
    contexts = sorted({one.context for one in bulk.conditions})
    of_context = [[i for i, one in enumerate(bulk.conditions) if one.context == name] for name in contexts]
    controls = np.array([bulk.controls[rows].mean(axis=0) for rows in of_context])
    width = min(components, len(bulk.means) + len(controls), len(panel) - 1)
    G = PCA(width, svd_solver="full").fit_transform(np.vstack([bulk.means, controls]).T)
    Y = np.column_stack([*bulk.deltas[usable], *np.zeros_like(controls)])
    columns = [G[[panel.index(gene) for gene in bulk.conditions[i].genes]].sum(axis=0) for i in usable]
    P = np.column_stack([*columns, *np.zeros((len(controls), width))])
    b = Y.mean(axis=1, keepdims=True)
    eye = ridge * np.eye(width)
    K = np.linalg.solve(G.T @ G + eye, G.T @ (Y - b) @ P.T) @ np.linalg.inv(P @ P.T + eye)
    p = G[[panel.index(gene) for gene in condition.genes]].sum(axis=0)
    return G @ K @ p + b[:, 0]


@pytest.mark.parametrize(("make", "components", "ridge"), [(pairs_screen, 10, 0.1), (contexts_screen, 4, 2.0)])
def test_linear_is_the_published_formula(make, components, ridge):
    screen = make()
    prediction = answer(Linear(components=components, ridge=ridge), screen)
    answered = [one for one in screen.asked if one not in prediction.fallbacks]
    assert len(answered) >= 3
    for one in answered:
        expected = by_normal_equations(screen, one, components, ridge)
        np.testing.assert_allclose(delta(prediction, screen, one), expected, atol=1e-8)


def planted(ridge: float) -> tuple[Screen, Prediction]:
    """A screen whose effects are low-rank in latent vectors of the genes, the train targets in pairs of opposites."""
    rng = generator(3, "planted")
    genes = [f"G{i:02d}" for i in range(40)]
    latent = rng.normal(size=(40, 5))
    latent[1:24:2] = -latent[0:24:2]
    latent[24:] -= latent[24:].mean(axis=0)
    acts = 0.25 * rng.normal(size=(5, 5))
    start = 5.0 + latent @ rng.normal(scale=0.2, size=5)
    deltas = {perturbed(gene, "K562"): latent @ acts @ latent[i] for i, gene in enumerate(genes[:32])}
    deltas |= {perturbed("G02+G26", "K562"): latent @ acts @ (latent[2] + latent[26])}
    cells = measured(genes, {"K562": start + 10}, deltas, noise=0.0, cells=4)
    screen = Screen(cells, split_of(cells, [one for one in deltas if one.genes[-1] >= "G24"]), deltas)
    return screen, answer(Linear(ridge=ridge), screen)


def test_linear_recovers_planted_low_rank_effects_of_unseen_genes_and_pairs():
    screen, prediction = planted(ridge=1e-9)
    assert not prediction.fallbacks
    assert len(screen.asked) == 9
    for one in screen.asked:
        np.testing.assert_allclose(delta(prediction, screen, one), screen.deltas[one], atol=1e-4)


def test_linear_is_near_to_planted_effects_with_the_published_ridge():
    screen, prediction = planted(ridge=0.1)
    for one in screen.asked:
        assert np.corrcoef(delta(prediction, screen, one), screen.deltas[one])[0, 1] > 0.999


def test_linear_names_genes_outside_the_panel():
    screen = pairs_screen()
    prediction = answer("linear", screen)
    outside = {one for one in screen.asked if {"KLF1", "MAP2K6"} & set(one.genes)}
    assert set(prediction.fallbacks) == outside
    assert "MAP2K6 is outside the panel: answered with train-mean" in prediction.fallbacks.values()


def test_where_no_train_target_is_measured_all_regressions_fall_back():
    screen = pairs_screen()
    panel = [gene for gene in screen.cells.genes if gene > "G07"]
    narrow = Screen(screen.cells.with_genes(panel), screen.split, screen.deltas)
    measured_target = perturbed("G09", "K562")
    for name in ("linear", "ridge", "nearest-neighbours"):
        prediction = answer(name, narrow, [measured_target])
        assert "outside the panel" in prediction.fallbacks[measured_target]


@pytest.mark.parametrize("profiles", [9, 45])
def test_gene_scores_are_principal_components(profiles):
    rng = np.random.default_rng(0)
    profiles = rng.normal(size=(profiles, 30))
    expected = PCA(4, svd_solver="full").fit_transform(profiles.T)
    np.testing.assert_allclose(np.abs(gene_scores(profiles, 4)), np.abs(expected), atol=1e-10)


def test_gene_scores_turn_with_the_genes_and_leave_out_noise():
    rng = np.random.default_rng(0)
    profiles = rng.normal(size=(9, 3)) @ rng.normal(size=(3, 30))
    scores, order = gene_scores(profiles, 10), rng.permutation(30)
    assert scores.shape == (30, 3)
    np.testing.assert_allclose(gene_scores(profiles[:, order], 10), scores[order], atol=1e-10)


# ---- ridge and neighbours


def made_prior(genes: Sequence[str], width: int = 6) -> GenePrior:
    table = generator(6, "prior").normal(size=(len(genes), width)).astype(np.float32)
    return GenePrior("made", tuple(genes), table)


def vectors(prior: GenePrior, conditions: Sequence[Condition]) -> np.ndarray:
    return np.asarray([prior.aligned_to(one.genes)[0].astype(np.float64).sum(axis=0) for one in conditions])


def test_ridge_is_kernel_ridge_regression_on_centred_vectors():
    screen = pairs_screen()
    prior = made_prior([*screen.cells.genes, "KLF1", "MAP2K6"])
    known = train_deltas(screen)
    train = vectors(prior, list(known))
    centre = train.mean(axis=0)
    length = np.sqrt(((train - centre) ** 2).sum(axis=1).mean())
    changes = np.asarray(list(known.values()))
    reference = KernelRidge(alpha=0.7, kernel="linear").fit((train - centre) / length, changes - changes.mean(axis=0))
    prediction = answer(Ridge(penalty=0.7), screen, prior=prior)
    expected = reference.predict((vectors(prior, screen.asked) - centre) / length) + changes.mean(axis=0)
    for one, row in zip(screen.asked, expected, strict=True):
        np.testing.assert_allclose(delta(prediction, screen, one), row, atol=1e-8)
    assert not prediction.fallbacks


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_nearest_neighbours_are_those_of_scikit_learn(distance):
    screen = pairs_screen()
    prior = made_prior([*screen.cells.genes, "KLF1", "MAP2K6"])
    known = train_deltas(screen)
    search = SklearnNeighbours(n_neighbors=3, metric=distance).fit(vectors(prior, list(known)))
    found = search.kneighbors(vectors(prior, screen.asked), return_distance=False)
    changes = np.asarray(list(known.values()))
    prediction = answer(NearestNeighbours(neighbours=3, distance=distance), screen, prior=prior)
    for one, rows in zip(screen.asked, found, strict=True):
        np.testing.assert_allclose(delta(prediction, screen, one), changes[rows].mean(axis=0), atol=1e-10)


def test_equally_near_conditions_of_the_same_context_come_first():
    screen = contexts_screen()
    one = perturbed("G00", "RPE1", Mode.INTERFERENCE)
    prediction = answer(NearestNeighbours(neighbours=1), screen, [one])
    np.testing.assert_allclose(delta(prediction, screen, one), train_deltas(screen)[one], atol=1e-10)


def test_a_large_penalty_is_the_train_mean():
    """Of all train conditions, those of the unmeasured TP53 included, which has no vector."""
    screen = contexts_screen()
    mean = np.mean(list(train_deltas(screen).values()), axis=0)
    prediction = answer(Ridge(penalty=1e9), screen)
    for one in set(screen.asked) - set(prediction.fallbacks):
        np.testing.assert_allclose(delta(prediction, screen, one), mean, atol=1e-6)


@pytest.mark.parametrize("rule", [Ridge(), NearestNeighbours()])
def test_a_prior_answers_for_genes_that_are_not_measured_and_names_those_it_lacks(rule, tmp_path):
    screen = pairs_screen()
    prior = made_prior([*screen.cells.genes, "KLF1", "ONLYINPRIOR"])
    stranger = perturbed("ONLYINPRIOR", "K562")
    asked = [stranger, perturbed("G04+KLF1", "K562"), perturbed("MAP2K6", "K562")]
    prediction = answer(rule, screen, asked, prior)
    assert list(prediction.fallbacks) == [perturbed("MAP2K6", "K562")]
    assert "MAP2K6 is not in prior made" in prediction.fallbacks[asked[2]]
    model = Baseline(rule, prior)
    model.fit(screen.cells, screen.split, seed=0)
    model.save(tmp_path)
    loaded = Baseline.load(tmp_path).predict(controls_of(screen), asked, seed=0)
    assert all(np.array_equal(loaded.cells[one], prediction.cells[one]) for one in asked)
    assert loaded.provenance == prediction.provenance


# ---- modes


def mixed_screen() -> Screen:
    """One gene activated, the others knocked out, and one pair of both."""
    genes = [f"G{i:02d}" for i in range(8)]
    rng = generator(8, "mixed")
    activated = [perturbed(gene, "K562", Mode.ACTIVATION) for gene in genes[:3]]
    knocked = [perturbed(gene, "K562", Mode.KNOCKOUT) for gene in genes[3:6]]
    deltas = {one: rng.normal(size=8) for one in [*activated, *knocked]}
    targets = frozenset({Target("G00", Mode.ACTIVATION), Target("G03", Mode.KNOCKOUT)})
    both = Condition(Perturbation(targets), "K562")
    deltas[both] = deltas[activated[0]] + deltas[knocked[0]]
    cells = measured(genes, {"K562": np.full(8, 6.0)}, deltas, noise=0.0)
    return Screen(cells, split_of(cells, [both, activated[2]]), deltas)


def test_modes_are_not_pooled():
    screen = mixed_screen()
    one = perturbed("G02", "K562", Mode.ACTIVATION)
    own = [screen.deltas[perturbed(gene, "K562", Mode.ACTIVATION)] for gene in ("G00", "G01")]
    for name in ("train-mean", "context-mean"):
        np.testing.assert_allclose(delta(answer(name, screen), screen, one), np.mean(own, axis=0), atol=1e-5)


def test_a_pair_of_two_modes_is_made_of_both():
    screen = mixed_screen()
    both = next(one for one in screen.asked if one.perturbation.is_pair)
    prediction = answer("additive", screen)
    assert both not in prediction.fallbacks
    np.testing.assert_allclose(delta(prediction, screen, both), screen.deltas[both], atol=1e-5)


def test_a_mode_that_was_only_seen_together_with_another_is_refused_alone():
    screen = mixed_screen()
    both = next(one for one in screen.asked if one.perturbation.is_pair)
    only = Split(
        "made", frozenset({both, perturbed("G00", "K562")}), frozenset(), frozenset(), controls=screen.split.controls
    )
    with pytest.raises(ModeError, match="alone"):
        answer("train-mean", Screen(screen.cells, only, {}), [perturbed("G03", "K562", Mode.KNOCKOUT)])


# ---- refusals


def test_a_split_without_train_cells_is_refused():
    screen = pairs_screen()
    empty = Split("made", frozenset(), frozenset(), frozenset(screen.asked), controls=screen.split.controls)
    with pytest.raises(BadDataError, match="no train condition"):
        answer("no-change", Screen(screen.cells, empty, {}))


@pytest.mark.parametrize("wrong", [{"components": "ten"}, {"compnents": 10}])
def test_a_wrong_configuration_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Linear(**wrong)
