"""Seven hundred real cells that scanpy brings along: the known linear baseline, and types that nobody labelled."""

import warnings

import pytest

from pertura.annotation.comparison import Course, compared
from pertura.annotation.folds import Divisible, FoldPlan, folds
from pertura.annotation.labels import read_labels
from pertura.annotation.linear import Linear
from pertura.annotation.neighbours import Neighbours
from pertura.annotation.scale import logged
from pertura.annotation.source import open_source
from pertura.annotation.trust import UnknownRule
from pertura.annotation.unseen import unseen_types
from pertura.annotation.view import view_of

FOUND_BY_DISTANCE = ("CD19+ B", "CD56+ NK", "Dendritic", "CD34+")


@pytest.fixture(scope="module")
def course():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy

        adata = scanpy.datasets.pbmc68k_reduced()
    source = open_source(adata, "raw")
    labels = read_labels(source.obs, "bulk_labels")
    view = view_of(logged(source).expression, source.genes, source.ids, source.genes)
    return Course(view, labels.codes, len(labels.classes), UnknownRule(), 0), labels.classes


def divided(course, folds_, repeats):
    return tuple(folds(Divisible(course.view.ids, course.codes), FoldPlan(folds_, repeats), 0))


@pytest.mark.slow
def test_the_known_linear_baseline_under_five_times_five_folds(course):
    cells, _ = course
    found = compared(cells, [Linear()], divided(cells, 5, 5), lambda *_: None)
    assert 0.80 <= found.mean("pca_logistic_annotation", "accuracy") <= 0.84
    assert 0.64 <= found.mean("pca_logistic_annotation", "macro_f1") <= 0.70
    assert found.mean("pca_logistic_annotation", "calibration_error") < 0.08


@pytest.mark.slow
def test_types_that_nobody_labelled_are_far_away(course):
    cells, classes = course
    found = unseen_types(cells, Neighbours(), divided(cells, 5, 1), classes, lambda *_: None)
    distance = {one.label: one.by_distance for one in found}
    assert {name: distance[name] >= 0.85 for name in FOUND_BY_DISTANCE} == dict.fromkeys(FOUND_BY_DISTANCE, True)


def test_one_round_of_the_baseline_is_near_it(course):
    cells, classes = course
    found = compared(cells, [Neighbours()], divided(cells, 5, 1), lambda *_: None)
    assert len(classes) == 10
    assert 0.76 <= found.mean("pca_knn", "accuracy") <= 0.84
