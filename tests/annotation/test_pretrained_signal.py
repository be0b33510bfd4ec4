"""What a network learnt from unlabelled cells is used: it beats the same network that learnt nothing."""

import numpy as np
import pytest
from simulated_types import TYPES, fresh_base, pretrained_base, typed_cells, typed_view

from pertura.annotation.comparison import Course, compared, corrected_interval
from pertura.annotation.embedding import FrozenEmbedding
from pertura.annotation.folds import Divisible, FoldPlan, folds
from pertura.annotation.strategies import strategies_of
from pertura.annotation.trust import UnknownRule
from pertura.annotation.tuning_options import Schedule, TuningOptions

OPTIONS = TuningOptions(head=Schedule(30, 1e-2), lora=Schedule(6, 5e-3), batch=16)
WITH_NETWORK = ("scgpt_frozen_probe", "scgpt_head", "scgpt_lora")


def scores(base, kinds, cells, plan):
    counts, types = typed_cells(cells, seed=5)
    view = typed_view(base, counts)
    embedding = FrozenEmbedding(base)
    embedding.remember(view)
    divided = tuple(folds(Divisible(view.ids, types), plan, 0))
    course = Course(view, types, TYPES, UnknownRule(), 0)
    return compared(course, strategies_of(kinds, embedding, OPTIONS), divided, lambda *_: None)


def gain(pretrained, fresh, name):
    gaps = pretrained.values(name, "macro_f1") - fresh.values(name, "macro_f1")
    return gaps.mean(), corrected_interval(gaps, 1 / 4)


@pytest.mark.proof
def test_probe_head_and_adapters_use_what_was_pretrained():
    plan = FoldPlan(5, 2)
    pretrained = scores(pretrained_base(500), ("linear", "probe", "head", "lora"), 150, plan)
    fresh = scores(fresh_base(), ("probe", "head", "lora"), 150, plan)
    for name in WITH_NETWORK:
        mean, (low, _) = gain(pretrained, fresh, name)
        assert mean > 0
        assert low > 0, name
    against_linear = [pretrained.difference(name, "pca_logistic_annotation", "macro_f1") for name in WITH_NETWORK]
    assert all(np.isfinite([one.low, one.high]).all() for one in against_linear)
    assert {one.verdict for one in against_linear} <= {"better", "worse", "not told apart"}


@pytest.mark.proof
def test_a_head_uses_what_was_pretrained_in_a_few_steps():
    plan = FoldPlan(5, 1)
    pretrained = scores(pretrained_base(300, cells=1000), ("head",), 120, plan)
    fresh = scores(fresh_base(), ("head",), 120, plan)
    assert gain(pretrained, fresh, "scgpt_head")[0] > 0.1
