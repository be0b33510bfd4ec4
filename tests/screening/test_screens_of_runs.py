"""Screens of finished runs: the ranking, its trust, its files, and every way of sharing out the work."""

import json
import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import pertura
from pertura.cli.app import application
from pertura.core.errors import BadDataError, MissingError, ModeError, PerturaError, UnknownGeneError, UsageError
from pertura.models.table import MODELS
from pertura.recipes.recipe import Recipe
from pertura.recipes.run import run
from pertura.recipes.screening_run import blocks
from pertura.recipes.screening_run.answers import every_answer
from pertura.recipes.screening_run.asked import Asked, read_asked
from pertura.recipes.screening_run.asking import question
from pertura.recipes.screening_run.ranking import Ranking
from pertura.recipes.screening_run.running import Workers, screen
from pertura.recipes.screening_run.setting import open_setting
from pertura.screening.backtest import NEAREST
from pertura.screening.deltas import predicted_deltas
from pertura.screening.goal import without_targets
from small_runs import pairs_file

PROGRAMME = "G00001,G00002,G00003,G00005,-G00007"
FILES = ("ranking.csv", "ranking.parquet", "genes.csv", "backtest.csv", "held_out.csv", "report.html", "screen.toml")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A finished run of a small screen of singles and pairs."""
    folder = tmp_path_factory.mktemp("screens")
    data = pairs_file(folder, targets=12, pairs=14, cells_per_condition=20, controls_per_line=80)
    models = ("ridge", "additive", "train-mean")
    run(Recipe(name="small", data=str(data), models=models, bootstrap=4, permutations=2), folder / "run")
    return folder


GENES = tuple(f"G{i:05d}" for i in range(22))


def asked(home: Path, name: str = "ridge", **changes: object) -> Asked:
    words = {"programme": PROGRAMME, "members": 0, "folds": 2, **changes}
    return question({"model": (f"{home / 'run'}:{name}",), **words})


@pytest.fixture(scope="module")
def single(home):
    """The ranking in one go."""
    return screen(asked(home), home / "single"), home / "single"


def test_every_file_is_there_and_says_the_same(single):
    found, folder = single
    assert sorted(one.name for one in folder.iterdir() if one.is_file()) == sorted(FILES)
    csv, parquet = pd.read_csv(folder / "ranking.csv"), pd.read_parquet(folder / "ranking.parquet")
    pd.testing.assert_frame_equal(found.table, parquet)
    np.testing.assert_allclose(csv["score"], parquet["score"])
    assert csv["rank"].tolist() == list(range(1, len(csv) + 1))


@pytest.mark.slow
def test_the_order_is_that_of_the_scores_in_the_wanted_direction(home, single):
    up = single[0].table["score"].to_numpy()
    down = screen(asked(home, direction="down"), home / "down").table["score"].to_numpy()
    assert (np.diff(up) <= 0).all()
    np.testing.assert_allclose(up[::-1], down)


def test_what_was_measured_counts_by_its_precision(single):
    table = single[0].table
    measured = table[table["seen"] == "measured"]
    assert len(measured) == 12
    between = (measured["score"] - measured["measured score"]) * (measured["score"] - measured["predicted score"])
    assert (between <= 1e-12).all()
    assert (measured["low"] < measured["high"]).all()


def test_of_what_was_measured_stands_what_models_that_had_not_seen_it_predicted(single):
    """The models of the ranking learnt from all of them: their own answers would count the same cells twice."""
    found = single[0]
    held = found.trust.held_out
    hidden = dict(zip((one.perturbation.label for one in held.conditions), held.scores))
    table = found.table[found.table["seen"] == "measured"].set_index("perturbation")
    assert table["predicted score"].to_dict() == {name: hidden[name] for name in table.index}
    raw = {one.perturbation.label: i for i, one in enumerate(found.chosen.conditions)}
    fitted = {name: answered(found)[raw[name]] for name in table.index}
    assert all(abs(fitted[name] - hidden[name]) > 1e-9 for name in table.index)
    assert table["linear score"].isna().all()


def answered(found: Ranking) -> np.ndarray:
    return every_answer(found.setting, found.chosen.conditions).scores


def test_candidates_are_ranked_by_models_of_everything_measured(home, single):
    setting = single[0].setting
    assert set(setting.learnt) == set(setting.means.conditions)
    model = MODELS["ridge"].build(None)
    model.fit(setting.means.cells(), setting.means.split(setting.means.conditions, "all", 0), seed=0)
    new = [one for one in single[0].chosen.conditions if one not in setting.means.row][:5]
    deltas = predicted_deltas(model, setting.controls, new, seed=0).values
    expected = setting.goal.scores(without_targets(deltas, new, setting.goal.genes))
    table = single[0].table.set_index("perturbation")
    np.testing.assert_allclose([table.loc[one.perturbation.label, "score"] for one in new], expected, atol=1e-12)
    kept = open_setting(asked(home, refit=False))
    assert set(kept.learnt) == {one for one in kept.means.conditions if one in kept.split.train}


@pytest.mark.slow
def test_candidates_that_no_model_tells_apart_say_so(home):
    found = screen(asked(home, "train-mean", candidates=GENES[8:]), home / "alike")
    new = found.table[found.table["seen"] != "measured"]
    others = f"predicted like {len(new) - 1} others"
    assert len(new) > 3
    assert new["flags"].str.contains(others).all()


def test_what_was_left_out_of_a_table_of_genes_is_told(home, tmp_path):
    (tmp_path / "deg.csv").write_text("gene,log2fc,padj\nG00001,2.0,0.01\nG00002,1.0,0.5\nG00003,-1.0,0.001\n")
    what = asked(home, programme=str(tmp_path / "deg.csv"))
    assert what.programme == {"G00001": 2.0, "G00003": -1.0}
    assert "deg: 1 rows without a finite change at adjusted p < 0.05 were left out" in open_setting(what).notes


def test_the_back_test_judges_the_model_every_baseline_and_the_nearest(single):
    verdicts = single[0].trust.verdicts
    singles = {one.model for one in verdicts if one.kind.startswith("singles")}
    assert {"ridge", "additive", "train-mean", "no-change", "linear", NEAREST} <= singles
    assert {one.conditions for one in verdicts} == {12, 14}
    constant = next(one for one in verdicts if one.model == "no-change")
    assert [at.recall.value for at in constant.at] == pytest.approx([1 / 12, 1 / 12, 2 / 12])


def test_what_is_hidden_has_no_influence_on_its_prediction(home):
    """Cells of a perturbation made extreme: what is predicted of it while it is hidden stays the same."""
    from pertura.recipes.screening_run.trust import held_out, hidden_of

    setting = open_setting(asked(home, members=0))
    turn = hidden_of(setting)[0]
    means = setting.means
    before = held_out(setting, [turn])
    for one in turn.test:
        means.model_deltas[means.row[one]] = 1e3
        means.judge_deltas[means.row[one]] = -1e3
    after = held_out(setting, [turn])
    np.testing.assert_array_equal(before.scores, after.scores)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 5)


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def test_shards_an_interrupted_and_a_single_run_write_the_same_bytes(home, small_blocks):
    what = asked(home, candidates=GENES)
    screen(what, home / "whole")
    for shard in ((2, 3), (3, 3)):
        assert screen(what, home / "parts", workers=Workers(shard=shard)) is None
    assert not (home / "parts" / "ranking.csv").exists()
    screen(what, home / "parts")
    assert tables(home / "whole") == tables(home / "parts")
    (home / "parts" / "blocks" / "000001.npz").write_bytes(b"damaged")
    screen(what, home / "parts")
    assert tables(home / "whole") == tables(home / "parts")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_dask_writes_the_same_bytes(home, monkeypatch):
    what = asked(home, candidates=GENES)
    screen(what, home / "here")
    screen(what, home / "on dask", workers=Workers(dask="1"))
    assert tables(home / "here") == tables(home / "on dask")


@pytest.mark.slow
def test_the_record_repeats_the_screen(home, single):
    _, folder = single
    again = home / "again"
    screen(read_asked(folder / "screen.toml"), again)
    assert tables(folder) == tables(again)


def test_a_folder_of_another_question_is_left_alone(home, single):
    before = tables(single[1])
    with pytest.raises(UsageError, match="another question"):
        screen(asked(home, direction="down"), single[1])
    assert tables(single[1]) == before


def test_pairs_are_pruned_ranked_and_called(home):
    found = screen(asked(home, "additive", kind="pairs", share=0.5), home / "pairs")
    assert found.search is not None
    # pairs of the twelve singles that were measured; measured pairs that were pruned are ranked beside them
    assert found.search.every == 66
    assert found.search.evaluated == 33
    table = found.table
    assert set(table["interaction"]) <= {"synergistic", "antagonistic", "neither"}
    # an additive model foretells no departure
    assert (table["interaction"] == "neither").all()
    assert (table["seen"] == "measured").sum() == 14
    assert "Scores of pairs" in (home / "pairs" / "report.html").read_text()


@pytest.mark.slow
def test_a_goal_that_nobody_changes_cannot_be_told_from_noise(home, tmp_path):
    data = pairs_file(tmp_path, targets=12, pairs=0, null_fraction=1.0, target_effect=0.0, cells_per_condition=20)
    models = ("ridge", "train-mean")
    run(Recipe(name="still", data=str(data), models=models, bootstrap=2, permutations=1), tmp_path / "run")
    found = pertura.screen(f"{tmp_path / 'run'}:ridge", PROGRAMME, members=1, folds=3)
    assert "cannot be told from noise" in found.verdict
    assert not found.table["told from noise"].any() or "order" not in found.verdict


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"programme": ""}, UsageError, "names no gene"),
        (
            {"programme": "NOGENE1,NOGENE2"},
            UsageError,
            "none of its genes is among the 40 that the models predict: NOGENE1",
        ),
        ({"programme": None}, UsageError, "neither a programme nor a target"),
        ({"mode": "interference"}, ModeError, "activation"),
        ({"mode": "nonsense"}, UsageError, "no mode"),
        ({"context": "line-z"}, BadDataError, "no control cells of context line-z"),
        ({"candidates": "NOSUCHGENE"}, UnknownGeneError, "NOSUCHGENE"),
        ({"unwanted": "NOGENE1"}, UsageError, "unwanted genes: none of its genes"),
        ({"statistic": "distance"}, UsageError, "goes with"),
        ({"level": 1.5}, BadDataError, "level"),
        ({"kind": "pairs", "candidates": "G00001"}, UsageError, "two genes"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_reason(home, changes, error, told):
    words = {name: one for name, one in {"programme": PROGRAMME, **changes}.items() if one is not None}
    with pytest.raises(error, match=told):
        screen(question({"model": (f"{home / 'run'}:ridge",), "members": 0, **words}), home / "refused")
    assert not (home / "refused").exists()


def test_models_that_are_not_there_are_named(home, tmp_path):
    with pytest.raises(MissingError, match="no run at"):
        screen(question({"model": ("nowhere",), "programme": PROGRAMME}), tmp_path / "out")
    with pytest.raises(UsageError, match="there are: ridge, additive, train-mean"):
        screen(asked(home, "scgpt"), tmp_path / "out")
    with pytest.raises(MissingError, match=r"no folder of `pertura run`"):
        screen(question({"model": (str(tmp_path),), "programme": PROGRAMME}), tmp_path / "out")


def test_an_altered_record_is_refused_by_key(home, single, tmp_path):
    text = (single[1] / "screen.toml").read_text()
    path = tmp_path / "screen.toml"
    path.write_text(text.replace("direction =", "directoin ="))
    with pytest.raises(BadDataError, match="did you mean 'direction'"):
        read_asked(path)
    path.write_text("models = [")
    with pytest.raises(BadDataError, match="not TOML"):
        read_asked(path)


@pytest.mark.slow
def test_controls_of_ones_own_are_taken_from_a_file_or_from_memory(home, single, tmp_path):
    whole = anndata.read_h5ad(home / "pairs.h5ad")
    mine = whole[(whole.obs["condition"] == "ctrl").to_numpy()].copy()
    mine.write_h5ad(tmp_path / "controls.h5ad")
    first = pertura.screen(f"{home / 'run'}:ridge", PROGRAMME, controls=str(tmp_path / "controls.h5ad"), members=0)
    second = pertura.screen(f"{home / 'run'}:ridge", PROGRAMME, controls=mine, members=0)
    pd.testing.assert_frame_equal(first.table, second.table)
    with pytest.raises(PerturaError, match="lacks 2 of the 40 genes"):
        pertura.screen(f"{home / 'run'}:ridge", PROGRAMME, controls=mine[:, 2:].copy(), members=0)


def test_fitted_models_are_ranked_from_python_with_what_they_learnt_from(home):
    from pertura.models.table import load_model
    from pertura.recipes.screening_run.runs import open_runs

    folder = home / "run"
    ((opened, _),) = open_runs((str(folder),))
    model = load_model(folder / "models" / "additive" / "model")
    found = pertura.screen(model, PROGRAMME, cells=opened.cells, split=opened.split, candidates="G00001,G00002")
    assert set(found.table["perturbation"]) == {"G00001", "G00002"}
    assert found.ranking.trust.held_out is None or found.backtest["conditions"].max() <= len(opened.split.test)
    with pytest.raises(UsageError, match="cells and the split"):
        pertura.screen(model, PROGRAMME)


@pytest.mark.slow
def test_the_command_says_what_it_found_and_where(home, tmp_path):
    words = ["screen", "--model", f"{home / 'run'}:ridge", "--programme", PROGRAMME, "--members", "0", "--folds", "2"]
    result = CliRunner().invoke(application(), [*words, "--candidates", "G00001,G00002", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "Back-test: of the best 10%" in result.output
    assert (tmp_path / "out" / "report.html").is_file()
    result = CliRunner().invoke(application(), [*words, "--backtest", "-o", str(tmp_path / "only")])
    assert result.exit_code == 0, result.output
    assert "recall at 10%" in result.output
    assert [one.name for one in (tmp_path / "only").iterdir()] == ["backtest.csv"]


@pytest.mark.slow
def test_a_batch_is_designed_and_compared(home, tmp_path):
    words = ["design", "--model", f"{home / 'run'}:ridge", "--programme", PROGRAMME, "--budget", "3", "--members", "1"]
    result = CliRunner().invoke(application(), [*words, "--rounds", "2", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    batch = pd.read_csv(tmp_path / "out" / "batch.csv")
    assert len(batch) == 3
    rounds = pd.read_csv(tmp_path / "out" / "rounds.csv")
    assert set(rounds["strategy"]) == {"random", "top", "design"}
    assert "value = gain" in result.output
    assert "cells per perturbation" in result.output


def test_a_report_needs_nothing_but_itself(single):
    page = (single[1] / "report.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.index("Would it have worked?") < page.index("The ranking")
    assert json.loads(json.dumps("sort-ranking")) in page


def test_a_run_whose_data_are_gone_says_so(home, tmp_path):
    shutil.copytree(home / "run", tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("pairs.h5ad", "gone.h5ad"))
    with pytest.raises(MissingError, match=r"gone\.h5ad"):
        pertura.screen(f"{tmp_path / 'run'}:ridge", PROGRAMME)
