"""Trained networks in a screen: asked as they were trained, with all their seeds, and never trained again."""

import pickle

import numpy as np
import pytest

from pertura.models.cellflow.model import CellFlow
from pertura.models.table import load_model
from pertura.recipes.recipe import Recipe
from pertura.recipes.run import run
from pertura.recipes.screening_run.asked import Designed
from pertura.recipes.screening_run.asking import question
from pertura.recipes.screening_run.designing import design
from pertura.recipes.screening_run.running import screen
from pertura.recipes.screening_run.runs import open_runs
from pertura.screening.deltas import predicted_deltas
from pertura.screening.goal import without_targets
from small_runs import pairs_file

TINY = {"updates": 3, "cells": 16, "valid_cells": 8, "solver": {"steps": 2}, "training": {"epochs": 1}}
NAME = "cellflow+table"
MEASURED, OTHERS = tuple(f"G{i:05d}" for i in range(60)), ("KLF1", "SPI1", "TAL1")
ASKED = {"programme": "G00001,G00002,G00003", "unwanted": "G00004", "level": 0.5}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A finished run of a network with a prior, two seeds of it, a control of the prior and baselines."""
    folder = tmp_path_factory.mktemp("networks")
    data = pairs_file(folder, targets=16, pairs=4, targets_outside_panel=0.5)
    rows = np.random.default_rng(0).standard_normal((len(MEASURED) + len(OTHERS), 4))
    (folder / "table.pickle").write_bytes(
        pickle.dumps({gene: row.tolist() for gene, row in zip((*MEASURED, *OTHERS), rows)})
    )
    models = ("train-mean", "ridge+table", NAME, f"{NAME}~permuted1")
    how = {"size": "debug", "model_options": {"cellflow": TINY}, "seeds": 2, "priors": (str(folder / "table.pickle"),)}
    run(Recipe(name="small", data=str(data), models=models, bootstrap=4, permutations=2, **how), folder / "run")
    return folder


@pytest.fixture(scope="module", autouse=True)
def never_trained(home):
    """From here on, whatever trains a network fails."""

    def refuse(self, cells, split, *, seed):
        raise AssertionError("a screen trained a network")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CellFlow, "fit", refuse)
        yield


@pytest.fixture(scope="module")
def found(home, never_trained):
    """The ranking by the networks of the run."""
    return screen(question({"model": (str(home / "run"),), **ASKED}), home / "ranking")


@pytest.mark.slow
def test_a_run_is_asked_by_its_networks_and_all_their_seeds(home, found):
    ((opened, names),) = open_runs((str(home / "run"),))
    assert names == (NAME,)
    members = opened.members(NAME)
    assert [one.name for one in members] == [NAME, f"{NAME} seed 2"]
    setting, block = found.setting, found.block
    new = [i for i, one in enumerate(found.chosen.conditions) if one not in setting.means.row][:3]
    asked = [found.chosen.conditions[i] for i in new]
    each = []
    for place in ("model", "seeds/2/model"):
        saved = load_model(home / "run" / "models" / NAME / place)
        deltas = predicted_deltas(saved, setting.controls, asked, seed=0).values
        each.append(setting.goal.scores(without_targets(deltas, asked, setting.goal.genes)))
    np.testing.assert_allclose(block["score"][new], np.mean(each, axis=0), atol=1e-5)
    assert (block["spread"][new] > 0).all()
    # genes that nobody measured are ranked by their vectors; those of a vocabulary without one are not asked
    assert set(OTHERS) < set(found.table["perturbation"])
    perturbed = {gene for one in setting.means.conditions for gene in one.genes}
    assert set(found.table["perturbation"]) <= {*MEASURED, *OTHERS, *perturbed}


@pytest.mark.slow
def test_what_a_network_learnt_from_is_measured_alone(found):
    table, split = found.table.set_index("perturbation"), found.setting.split
    singles = {one.perturbation.label: one for one in found.setting.means.conditions if one.perturbation.is_single}
    learnt = [name for name, one in singles.items() if one in split.train]
    hidden = [name for name, one in singles.items() if one in split.test]
    assert learnt
    assert hidden
    assert table.loc[learnt, "predicted score"].isna().all()
    np.testing.assert_allclose(table.loc[learnt, "score"], table.loc[learnt, "measured score"], rtol=1e-12)
    assert table.loc[hidden, "predicted score"].notna().all()
    assert table.loc[[*learnt, *hidden], "unwanted"].notna().all()
    assert {one.conditions for one in found.trust.verdicts} <= {len(split.test), len(hidden)}


@pytest.mark.slow
def test_a_batch_is_designed_with_networks_but_not_tried_out(home):
    asked = question({"model": (str(home / "run"),), "programme": ASKED["programme"]})
    made = design(asked, Designed(budget=2), home / "batch")
    assert len(made.names) == 2
    assert not made.rounds
    assert any("not fitted again" in one for one in made.notes)
