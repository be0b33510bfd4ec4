"""The same files as cell-eval itself writes, on fresh random screens of every kind that it takes."""

import numpy as np
import pytest
import scipy.sparse as sp
from cell_eval_screens import (
    CONTROL,
    annotated,
    differences,
    own_files,
    peer_files,
    random_counts,
    random_pair,
    table_agrees,
)

pytest.importorskip("cell_eval")
pytestmark = pytest.mark.slow


def compared(tmp_path, predicted, observed, profile="full", skip=None):
    peer_files(predicted, observed, tmp_path / "peer", profile, skip)
    preset = "cell-eval-0.8" if profile == "full" else f"cell-eval-0.8/{profile}"
    result = own_files(predicted, observed, tmp_path / "own", preset, skip=frozenset(skip or ()))
    assert differences(tmp_path / "own", tmp_path / "peer") == []
    return result


def perturbed(change):
    """`change(values of a label, rng)` for each label but control."""

    def whole(values, labels, rng):
        for label in sorted(set(labels) - {CONTROL}):
            values[labels == label] = change(values[labels == label], rng)
        return values

    return whole


def smoothed(values, rng):
    return np.maximum(0.6 * values + 0.4 * values.mean(axis=0) + rng.normal(0, 0.02, values.shape), 0)


def constant(values, rng):
    return np.broadcast_to(values.mean(axis=0), values.shape)


def as_sparse(values, labels, rng):
    return sp.csr_matrix(values)


def in_half_precision(values, labels, rng):
    return values.astype(np.float16)


def in_double_precision(values, labels, rng):
    return values.astype(np.float64)


def control_copies(values, labels, rng):
    controls = np.flatnonzero(labels == CONTROL)
    changed = values[rng.choice(controls, len(values))]
    changed[controls] = values[controls]
    return changed


def control_mean(values, labels, rng):
    values[labels != CONTROL] = values[labels == CONTROL].mean(axis=0)
    return values


@pytest.mark.parametrize(
    "change",
    [
        as_sparse,
        perturbed(smoothed),
        perturbed(constant),
        in_half_precision,
        in_double_precision,
        control_copies,
        control_mean,
    ],
    ids=["sparse", "smoothed", "constant", "half", "double", "copies", "control mean"],
)
def test_every_kind_of_prediction(tmp_path, change):
    predicted, observed = random_pair(11, change, perturbations=12, genes=180)
    compared(tmp_path, predicted, observed)
    for name in ("real_de.csv", "pred_de.csv"):
        table_agrees(tmp_path / "own" / name, tmp_path / "peer" / name)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_screens_of_several_sizes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    sizes = {"perturbations": (3, 30), "cells": (4, 50), "genes": (30, 300), "controls": (15, 200)}
    drawn = {name: int(rng.integers(*between)) for name, between in sizes.items()}
    compared(tmp_path, *random_pair(seed, effect=float(rng.choice([0.3, 1.0, 2.0])), **drawn))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_counts_are_normalised_alike(tmp_path, kind):
    """Sparse and dense counts, among them cells that have none."""
    (observed, predicted), genes = random_counts(5)
    predicted[0][3:9] = 0
    first = annotated(sp.csr_matrix(predicted[0].astype(kind)), predicted[1], genes)
    second = annotated(observed[0].astype(kind), observed[1], genes)
    assert len(compared(tmp_path, first, second).warnings) == 2


def test_a_screen_without_effects_lacks_the_same_columns(tmp_path):
    result = compared(tmp_path, *random_pair(51, effect=0.0))
    assert set(result.undone) == {"de_direction_match", "de_spearman_lfc_sig", "de_sig_genes_recall"}


@pytest.mark.parametrize("perturbations", [1, 2, 3])
def test_few_perturbations_lack_the_same_columns(tmp_path, perturbations):
    result = compared(tmp_path, *random_pair(6, perturbations=perturbations))
    assert ("clustering_agreement" in result.undone) == (perturbations < 3)
    assert ("pearson_edistance" in result.undone) == (perturbations < 2)


@pytest.mark.parametrize("profile", ["minimal", "vcc", "de", "anndata", "pds"])
def test_profiles(tmp_path, profile):
    compared(tmp_path, *random_pair(7, perturbations=5, cells=12), profile=profile)


def test_metrics_left_out(tmp_path):
    compared(tmp_path, *random_pair(8, perturbations=5), skip=["overlap_at_N", "de_nsig_counts", "pearson_edistance"])


def test_labels_that_are_no_genes(tmp_path):
    predicted, observed = random_pair(9, perturbations=4)
    names = {one: f'a,{one} "µ"' for one in set(observed.obs["target_gene"]) - {CONTROL}}
    for side in (predicted, observed):
        side.obs["target_gene"] = [names.get(one, one) for one in side.obs["target_gene"]]
    compared(tmp_path, predicted, observed)
