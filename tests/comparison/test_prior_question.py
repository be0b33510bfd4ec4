"""Whether a prior helps: exact where nothing differs, right where it was planted, honest about several priors."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pertura.comparison.compare import compare, comparison_table
from pertura.comparison.priors import QUESTIONS, prior_question, prior_table
from pertura.comparison.roles import Role, is_control, role_of
from pertura.comparison.significance import difference, difference_from_mean, holm, two_sided_p
from pertura.core import Condition, Mode, Perturbation, Prediction, Provenance
from pertura.core.errors import BadDataError
from pertura.evaluation.aggregate import condition_weights, interval, weighted_mean
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from planted_priors import judged
from screens import pairs_screen

QUICK = Effort(bootstrap=60, permutations=5, halves=2, effect_permutations=39)


@pytest.fixture(scope="module")
def observed():
    screen = pairs_screen(noise=1.0)
    return observe(screen.cells, screen.split, effort=QUICK)


@pytest.fixture(scope="module")
def scored(observed):
    """Scores by name; the seed is that of the noise on the right change, which has a size."""

    def make(name: str, size: float, seed: int = 0, fallbacks=()):
        right = observed.model_controls + observed.means - observed.controls
        means = right + size * np.random.default_rng(seed).standard_normal(right.shape)
        cells = {one: row[None] for one, row in zip(observed.conditions, means)}
        told = dict.fromkeys(fallbacks, "no vector: answered with train-mean")
        return evaluate(Prediction(observed.genes, cells, Provenance(name), told), observed)

    return make


@pytest.fixture(scope="module")
def scores(scored, observed):
    return [
        scored("train-mean", 1.0, 1),
        scored("ridge", 0.9, 2),
        scored("ridge+good", 0.1, 3),
        scored("ridge+good~random1", 1.1, 4),
        scored("ridge+good~random2", 1.2, 5),
        scored("ridge+good~permuted1", 1.3, 6),
        scored("ridge+good+expression", 0.05, 7),
        scored("ridge+poor", 2.0, 8, observed.conditions[:3]),
        scored("ridge+poor~random1", 2.0, 9),
        scored("ridge+poor~permuted1", 2.0, 10),
        scored("nearest-neighbours+good", 0.2, 11),
    ]


def answer(question, name, against, subset="all"):
    return next(one for one in question.of(subset) if one.role.name == name and one.against == against)


# ---- names


NAMES = [
    "ridge+go-c",
    "ridge+ncbi+uniprot~random2",
    "a/b/x+y+expression",
    "nearest-neighbours+e.2_m~permuted0+expression",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_role_is_spelled_as_it_was_read(name):
    assert role_of(name).name == name


def test_a_role_has_its_parts():
    assert role_of("ridge+ncbi+uniprot~permuted12+expression") == Role("ridge", "ncbi+uniprot", "permuted", 12, True)
    assert role_of("run+1/ridge+go-c") == Role("ridge", "go-c", run="run+1/")
    assert [role_of(one) for one in ("ridge", "run+1/ridge", "MyModel", "", "+", "a+")] == [None] * 6


@given(st.text("abc-.1", min_size=1, max_size=6), st.text("abc-.+1", min_size=1, max_size=6), st.booleans())
def test_every_role_that_is_spelled_is_read(base, prior, joined):
    for control in ("", "random", "permuted"):
        one = Role(base, prior, control, 7 if control else 0, joined)
        assert role_of(one.name) == one
        assert is_control(one.name) == bool(control)


# ---- several priors


def test_holm_is_its_definition_on_a_case_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.4, np.nan, 0.5])), [0.8, np.nan, 0.8])
    np.testing.assert_allclose(holm(np.array([0.03])), [0.03])
    assert len(holm(np.array([]))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_no_smaller_than_p_keeps_the_order_and_rejects_as_the_step_down_does(values):
    p = np.asarray(values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    rejected = []
    for step, place in enumerate(order):  # Holm's own wording: stop at the first that is too large
        if p[place] * (len(p) - step) > 0.05:
            break
        rejected.append(place)
    assert set(np.flatnonzero(adjusted <= 0.05)) == set(rejected)


# ---- p and interval


@given(
    st.floats(-2, 2, allow_subnormal=False).map(lambda x: round(x, 6)),
    st.floats(0.01, 3),
    st.floats(0.01, 3),
    st.integers(2, 200),
)
@settings(max_examples=200, deadline=None)
def test_p_is_below_a_twentieth_exactly_where_the_interval_leaves_out_zero(point, below, above, clusters):
    low, high = point - below, point + above
    p = two_sided_p(point, low, high, clusters)
    assert 0 <= p <= 1
    if abs(low) > 1e-9 and abs(high) > 1e-9:
        assert (p < 0.05) == (low > 0 or high < 0)


def test_p_without_difference_without_spread_and_without_interval():
    assert two_sided_p(0.0, 0.0, 0.0, 9) == 1.0
    assert two_sided_p(0.1, 0.1, 0.1, 9) == 0.0
    assert np.isnan(two_sided_p(0.1, np.nan, np.nan, 9))
    assert np.isnan(two_sided_p(0.1, 0.0, 0.2, 1))


@pytest.mark.parametrize("size", [8, 20, 80])
def test_p_of_normal_values_is_that_of_the_t_test(size):
    """Values of single genes without noise of their own, under the weights that intervals are made with."""
    conditions = tuple(Condition(Perturbation.of(f"G{i:03d}", mode=Mode.ACTIVATION)) for i in range(size))
    weights = condition_weights(conditions, 4000, 0)
    for shift in (0.1, 0.3, 0.6):
        values = shift + np.random.default_rng(size).normal(size=size)
        draws = weighted_mean(np.broadcast_to(values, weights.shape), weights)
        low, high = interval(values.mean(), draws, "none", size)
        expected = stats.ttest_1samp(values, 0.0)
        found = two_sided_p(values.mean(), low, high, size)
        # in t units: the two tails of a weighted mean are not alike in small samples
        t = stats.t.isf(found / 2, size - 1)
        assert t == pytest.approx(abs(expected.statistic), rel=0.3 if size < 20 else 0.15)


# ---- the question


@pytest.mark.parametrize("metric", ["pearson_delta", "mse", "discrimination_score_l2"])
def test_a_prior_compared_with_itself_differs_by_nothing(scored, metric):
    one = scored("ridge+x", 0.5)
    twins = [
        replace(one, model=name) for name in ("train-mean", "ridge+x~random1", "ridge+x~random2", "ridge+x~permuted1")
    ]
    question = prior_question([one, *twins], metric)
    assert {one.against for one in question.answers} == set(QUESTIONS)
    for found in question.answers:
        assert (found.gap.value, found.gap.low, found.gap.high) == (0.0, 0.0, 0.0)
        assert (found.gap.p, found.holm, found.says) == (1.0, 1.0, "undecided")
    assert not question.that_help("all")


def test_every_prior_is_asked_every_question_on_every_subset(scores):
    question = prior_question(scores, "pearson_delta")
    subsets = ["all", "detectable", *sorted(scores[0].strata)]
    assert list(dict.fromkeys(one.subset for one in question.answers)) == subsets
    for subset in subsets:
        asked = {(one.role.name, one.against) for one in question.of(subset)}
        both = {(f"ridge+{prior}", against) for prior in ("good", "poor") for against in QUESTIONS}
        assert asked == both | {("nearest-neighbours+good", "none")}
    assert question.lacking == (
        "a random control was not run beside nearest-neighbours+good",
        "a permuted control was not run beside nearest-neighbours+good",
    )


def test_against_none_it_is_the_paired_difference_from_the_train_mean(scores):
    named = {one.model: one for one in scores}
    question = prior_question(scores, "mse")
    for subset in ("all", "detectable", "pairs"):
        found = answer(question, "ridge+good", "none", subset).gap
        assert found == difference(named["ridge+good"], named["train-mean"], "mse", subset)


def test_the_mean_over_control_seeds_is_taken_in_each_draw(scores):
    named = {one.model: one for one in scores}
    pair = [named["ridge+good~random1"], named["ridge+good~random2"]]
    halfway = replace(
        pair[0],
        values=np.mean([one.values for one in pair], axis=0),
        bootstrap=np.mean([one.bootstrap for one in pair], axis=0),
    )
    found = answer(prior_question(scores, "mse"), "ridge+good", "random")
    expected = difference(named["ridge+good"], halfway, "mse", "all")
    np.testing.assert_allclose(
        [found.gap.value, found.gap.low, found.gap.high, found.gap.p],
        [expected.value, expected.low, expected.high, expected.p],
        rtol=1e-4,
    )
    assert found.seeds == (1, 2)
    once = difference_from_mean(named["ridge+good"], pair[:1] * 3, "mse", "all", name="thrice")
    again = difference(named["ridge+good"], pair[0], "mse", "all")
    assert once.value == pytest.approx(again.value)
    assert once.low == pytest.approx(again.low, rel=1e-5)


def test_p_is_corrected_over_the_priors_of_one_model_and_question(scores):
    question = prior_question(scores, "pearson_delta")
    for against in QUESTIONS:
        pair = [answer(question, f"ridge+{name}", against) for name in ("good", "poor")]
        np.testing.assert_allclose([one.holm for one in pair], holm(np.asarray([one.gap.p for one in pair])))
    alone = answer(question, "nearest-neighbours+good", "none")
    assert alone.holm == alone.gap.p


def test_a_prior_helps_where_it_beats_none_and_both_controls(scores):
    question = prior_question(scores, "pearson_delta")
    assert [one.name for one in question.that_help("all")] == ["ridge+good"]
    assert answer(question, "ridge+poor", "none").says in ("harms", "undecided")
    lost = [replace(one, model=one.model.replace("good~random", "good~permuted0")) for one in scores]
    assert not prior_question([one for one in lost if "permuted0" not in one.model], "mse").that_help("all")


def test_what_was_not_answered_from_the_prior_is_counted(scores):
    question = prior_question(scores, "mse")
    assert answer(question, "ridge+poor", "none").stand_ins == 3
    assert answer(question, "ridge+good", "none").stand_ins == 0


def test_the_square_has_each_corner_and_what_each_knowledge_adds(scores):
    named = {one.model: one for one in scores}
    question = prior_question(scores, "mse")
    square = next(one for one in question.squares if one.subset == "pairs")
    assert [one.role.name for one in question.squares if one.subset == "pairs"] == ["ridge+good"]
    corners = (square.neither, square.expression, square.text, square.both)
    for name, corner in zip(("train-mean", "ridge", "ridge+good", "ridge+good+expression"), corners):
        assert corner == named[name].summary("mse", "pairs")
    both = named["ridge+good+expression"]
    assert square.gain_of_text == difference(named["ridge+good"], named["train-mean"], "mse", "pairs")
    assert square.gain_of_text_beside_expression == difference(both, named["ridge"], "mse", "pairs")
    assert square.stand_ins == (0, 0, 0)
    around = square.gain_of_text.value + square.gain_of_expression_beside_text.value
    other = square.gain_of_expression.value + square.gain_of_text_beside_expression.value
    assert around == pytest.approx(other)


def test_without_a_prior_there_is_no_question_and_without_the_train_mean_none_is_not_asked(scores):
    assert prior_question(scores[:2], "mse") is None
    question = prior_question(scores[1:], "mse")
    assert "none" not in {one.against for one in question.answers}
    assert question.lacking[0].startswith("train-mean was not run beside nearest-neighbours+good")
    assert not question.squares


def test_scores_of_another_split_are_refused(scores):
    with pytest.raises(BadDataError, match="different split"):
        prior_question([replace(scores[0], split="another"), *scores[1:]], "mse")


def test_models_of_several_runs_keep_to_their_own(scored):
    names = ("a/train-mean", "a/ridge+x", "a/ridge+x~random1", "b/ridge+x", "b/ridge+x~random1")
    made = [scored(name, 0.1 * (i + 1), i) for i, name in enumerate(names)]
    named = dict(zip(names, made))
    question = prior_question(made, "mse")
    assert {(one.role.run, one.against) for one in question.answers} == {
        ("a/", "none"),
        ("a/", "random"),
        ("b/", "random"),
    }
    expected = difference(named["b/ridge+x"], named["b/ridge+x~random1"], "mse", "all").value
    assert answer(question, "b/ridge+x", "random").gap.value == expected


def test_the_table_has_a_row_for_each_answer(scores):
    question = prior_question(scores, "mse")
    table = prior_table(question)
    assert len(table) == len(question.answers)
    for row, one in zip(table.itertuples(), question.answers):
        assert (row.model, row.prior, row.subset, row.against) == (
            one.role.base,
            one.role.prior,
            one.subset,
            one.against,
        )
        assert (row.difference, row.low, row.high, row.p_holm, row.says) == (
            one.gap.value,
            one.gap.low,
            one.gap.high,
            one.holm,
            one.says,
        )


def test_a_control_never_heads_a_comparison_and_stands_in_its_table(scored):
    made = compare([scored("ridge+x~random1", 0.0), scored("fair", 0.5), scored("poor", 2.0, 1)])
    assert (made.first, made.second) == ("fair", "poor")
    assert [one.model for one in made.headline] == ["fair", "poor"]
    assert "ridge+x~random1" in set(comparison_table(made)["model"])


# ---- planted


def told(question, base):
    return {one.against: one.gap for one in question.of("unseen_single") if one.role.base == base}


def test_on_one_screen_a_planted_prior_beats_the_train_mean_and_its_controls_do_not(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # thousands of calls of one kind
    scores = judged(1, singles=100, genes=100)
    question = prior_question(scores, "pearson_delta")
    assert [one.name for one in question.that_help("unseen_single", ["ridge"])] == ["ridge+planted"]
    for base in ("ridge", "nearest-neighbours"):
        assert told(question, base)["none"].verdict == "beats"
        for kind in ("random", "permuted"):
            assert told(prior_question(as_prior(scores, kind), "pearson_delta"), base)["none"].verdict != "beats"


def as_prior(scores, kind):
    """The same scores with the controls of a kind in the place of the prior."""
    renamed = {f"{base}+planted~{kind}1": f"{base}+planted" for base in ("ridge", "nearest-neighbours")}
    kept = [one for one in scores if one.model == "train-mean" or one.model in renamed]
    return [replace(one, model=renamed.get(one.model, one.model)) for one in kept]


@pytest.mark.slow
def test_over_five_seeds_planted_priors_beat_the_train_mean_and_random_and_permuted_ones_do_not(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    gains = {}
    for seed in range(5):
        scores = judged(seed)
        asked = {"planted": scores, "random": as_prior(scores, "random"), "permuted": as_prior(scores, "permuted")}
        for kind, mine in asked.items():
            question = prior_question(mine, "pearson_delta")
            for base in ("ridge", "nearest-neighbours"):
                gains.setdefault((base, kind), []).append(told(question, base)["none"])
    for (base, kind), gaps in gains.items():
        values = np.asarray([one.value for one in gaps])
        low, _ = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
        beaten = [one.verdict == "beats" for one in gaps]
        if kind == "planted":
            assert all(beaten), (base, gaps)
            assert low > 0.03
        else:
            assert low <= 0, (base, kind, values)
            assert sum(beaten) <= 1, (base, kind, gaps)  # one in forty is to be expected
            assert abs(values.mean()) < 0.02
