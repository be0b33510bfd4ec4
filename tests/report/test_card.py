from dataclasses import replace

import pytest

from pertura.core.errors import BadDataError
from pertura.report.card import CardFacts, DataFacts, ScoreFacts, SplitFacts, TrainingFacts, plain, render_card
from pertura.report.tables import Interval

DATA = DataFacts(
    name="norman-500", source="Norman 2019", licence="CC-BY 4.0", cells=3120, perturbed_cells=2760, control_cells=360,
    genes=500, conditions=40, contexts=("K562",), modes=("activation",), scale="log-normalised",
    computed_before_split=("a panel of 500 genes",),
)  # fmt: skip
SPLIT = SplitFacts(
    rule="gears-simulation", seed=1, fingerprint="ab" * 32, train=22, valid=4, test=14, model_controls=180,
    judge_controls=180, strata={"seen 0 of 2": 5, "seen 1 of 2": 9},
)  # fmt: skip
SCORE = ScoreFacts(
    metric="pearson_delta", better="higher", score=Interval(0.61, 0.5, 0.7), floor=0.0, null=Interval(0.02, -0.1, 0.1),
    ceiling=None, valid=14, detectable=11,
)  # fmt: skip
FACTS = CardFacts(
    model="linear", summary="A linear model.", data=DATA, split=SPLIT,
    training=TrainingFacts(seed=0, train_cells=1600, epochs=1, cells_seen=1600, seconds=0.8),
    scores=(SCORE,), fallbacks={"A+B": "B is not in the prior"}, limits=("K562 only",),
    versions={"pertura": "0.1.0", "numpy": "2.4.6"}, citations=("Norman et al. 2019",),
)  # fmt: skip


def data(**facts) -> CardFacts:
    return replace(FACTS, data=replace(DATA, **facts))


def split(**facts) -> CardFacts:
    return replace(FACTS, split=replace(SPLIT, **facts))


def training(**facts) -> CardFacts:
    return replace(FACTS, training=replace(FACTS.training, **facts))


def score(**facts) -> CardFacts:
    return replace(FACTS, scores=(replace(SCORE, **facts),))


def test_a_card_says_every_fact_and_ends_with_methods_and_citations():
    card = render_card(FACTS)
    titles = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert titles[-2:] == ["Methods", "Citations"]
    for words in ("3,120 (2,760 perturbed, 360 control)", "22 train, 4 valid, 14 test", "0.610 [0.500, 0.700]"):
        assert words in card
    for words in ("1 of 14 test conditions", "A+B: B is not in the prior", "K562 only", "numpy 2.4.6", "ab" * 32):
        assert words in card
    assert card == render_card(FACTS)


def test_what_is_undefined_is_called_so():
    assert "| undefined |" in render_card(FACTS)
    bare = score(score=Interval(None), floor=None, null=None, valid=0)
    line = next(one for one in render_card(bare).splitlines() if one.startswith("| pearson"))
    assert line.count("undefined") == 4


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        (data(cells=3121), "3,121 cells, but 3,120 perturbed and control cells"),
        (data(conditions=41), "41 conditions of the data, but 40 train, valid, test and left-out"),
        (data(contexts=()), "no context"),
        (split(test=13), "40 conditions of the data, but 39"),
        (split(judge_controls=181), "360 control cells, but 361 controls of models, judge and neither"),
        (split(strata={"seen 0 of 2": 15}), "15 conditions of stratum seen 0 of 2, but 14 test"),
        (split(fingerprint=""), "fingerprint is not recorded"),
        (split(left_out=-1, train=23), "left_out is -1"),
        (training(cells_seen=3420399, epochs=19, train_cells=3000), "3,420,399 cells seen, but 57,000 in 19 epochs"),
        (training(train_cells=4000, cells_seen=4000), "4,000 train cells, but 3,120 cells in the data"),
        (score(valid=15), "15 valid conditions of pearson_delta, but 14 test"),
        (score(detectable=15), "15 detectable conditions"),
        (score(valid=0), "has a score, but no valid condition"),
        (score(score=Interval(0.5, 0.7, 0.6)), "interval of the score of pearson_delta ends before it begins"),
        (score(null=Interval(0.5, 0.7, 0.6)), "interval of the null"),
        (replace(FACTS, fallbacks={str(i): "x" for i in range(15)}), "15 fallbacks, but 14 test conditions"),
        (replace(FACTS, versions={}), "version of pertura is not recorded"),
        (replace(FACTS, scores=(SCORE, SCORE)), "pearson_delta is scored twice"),
    ],
)
def test_facts_that_contradict_each_other_are_refused_and_named(facts, named):
    with pytest.raises(BadDataError, match="card of linear") as refused:
        render_card(facts)
    assert named in str(refused.value)


def test_every_contradiction_is_named_at_once():
    with pytest.raises(BadDataError) as refused:
        render_card(replace(split(test=13), versions={}))
    assert "39 train" in str(refused.value)
    assert "version of pertura" in str(refused.value)


def test_a_model_that_was_never_fitted_has_a_card():
    assert "Nothing was fitted." in render_card(replace(FACTS, training=None, scores=(), fallbacks={}))


def test_names_cannot_break_out_of_their_place():
    hostile = "x|y\n# Title <script> `code` [link](javascript:x)"
    card = render_card(
        replace(data(name=hostile), limits=(hostile,), model=hostile, scores=(replace(SCORE, metric=hostile),))
    )
    assert "<script>" not in card.replace("\\<script", "")
    assert not [line for line in card.splitlines() if line.startswith("# Title")]
    assert "](" not in card.replace("\\](", "")
    rows = [line.replace("\\|", "") for line in card.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_plain_text_stays_plain():
    assert plain("CEBPA+CEBPB, 24 h") == "CEBPA+CEBPB, 24 h"
