"""What figures show is what a run's files hold, and what is not there is named."""

import csv
import io
import json
from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from drawn_runs import DRAWN, METRICS, folder_to_draw, foreign_file
from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, MissingError, PerturaError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.evaluation.files import read_scores
from pertura.recipes.figure_files import Wanted, named_conditions, open_drawable
from pertura.recipes.figure_files_cells import unit
from pertura.recipes.figure_files_compatible import read_compatible
from pertura.recipes.figure_files_writing import FIGURES, listed, write_figure
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.compatible import ask_files
from pertura.recipes.foreign.compatible_files import write_answers
from pertura.recipes.foreign.files import Files, Reading
from pertura.report.tables import to_csv
from small_runs import contents, lines_file, pairs_file

PLACE = Path("somewhere")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("drawn")
    return folder_to_draw(pairs_file(made), made / "run")


@pytest.fixture(scope="module")
def two_lines(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("lines")
    return folder_to_draw(
        lines_file(made), made / "run", ("no-change", "train-mean"), strata=False, rule="folds", folds=2
    )


def rows(place: Path, kind: str, **wanted: object) -> list[dict[str, str]]:
    drawn = FIGURES[kind](open_drawable(place), Wanted(**wanted))
    return list(csv.DictReader(io.StringIO(to_csv(drawn.sheet.source))))


def words(place: Path, kind: str, **wanted: object) -> tuple[str, ...]:
    return FIGURES[kind](open_drawable(place), Wanted(**wanted)).notes


@cache
def stored(folder: Path, model: str) -> anndata.AnnData:
    return anndata.read_h5ad(folder / "models" / model / "predictions.h5ad")


@cache
def sides(folder: Path, model: str, condition: str) -> dict[str, np.ndarray]:
    """Observed, predicted and control cells of either side, straight from the file."""
    file = stored(folder, model)
    rows, part = file.obs["condition"].to_numpy(str) == condition, file.obs["control_part"].to_numpy(str)
    truth = np.asarray(file.layers["truth"], dtype=np.float64)
    return {
        "observed": truth[rows],
        "predicted": np.asarray(file.X, dtype=np.float64)[rows],
        "control": truth[part == "judge"],
        "model control": truth[part == "model"],
    }


# ---- cells


def test_top_genes_are_those_whose_observed_mean_moved_most_and_their_cells_are_those_of_the_file(folder):
    file = stored(folder, "additive")
    name = next(one for one in file.obs["condition"].cat.categories if one != "ctrl")
    cells = sides(folder, "additive", name)
    change = cells["observed"].mean(axis=0) - cells["control"].mean(axis=0)
    top = np.argsort(-np.abs(change), kind="stable")[:20]
    made = rows(folder, "top20", conditions=(name,), models=("additive", "no-change"))
    assert list(dict.fromkeys(one["gene"] for one in made)) == [str(one) for one in file.var_names[top]]
    for one in made:
        gene = file.var_names.get_loc(one["gene"])
        own = sides(folder, one["model"] or "additive", name)[one["kind"]][:, gene]
        assert int(one["cells"]) == len(own)
        assert float(one["mean"]) == pytest.approx(own.mean(), rel=1e-6)
        found = [float(one[f"percentile_{k}"]) for k in (5, 25, 50, 75, 95)]
        np.testing.assert_allclose(found, np.percentile(own, (5, 25, 50, 75, 95)), rtol=1e-6, atol=1e-9)
        assert float(one["observed_change"]) == pytest.approx(change[gene], rel=1e-6)
        assert (one["target"] == "yes") == (one["gene"] in name.split("+"))


def test_changes_are_those_of_the_file_and_r_is_the_score_with_its_floor_and_ceiling(folder):
    scores = read_scores(folder / "models" / "additive" / "scores")
    made = pd.DataFrame(rows(folder, "delta", models=("additive",)))
    results = pd.read_csv(folder / "models" / "additive" / "scores" / "results.csv")
    assert set(made["condition"]) == set(results["perturbation"])
    for name, mine in made.groupby("condition"):
        cells = sides(folder, "additive", name if "+" in name else f"{name}+ctrl")
        observed = cells["observed"].mean(axis=0) - cells["control"].mean(axis=0)
        predicted = cells["predicted"].mean(axis=0) - cells["model control"].mean(axis=0)
        np.testing.assert_allclose(mine["observed"].astype(float), observed, atol=1e-6)
        np.testing.assert_allclose(mine["predicted"].astype(float), predicted, atol=1e-6)
        place = [one.perturbation.label for one in scores.conditions].index(name)
        assert set(mine["r"].astype(float).round(5)) == {round(float(scores.values[0, place]), 5)}
        assert set(mine["floor"].astype(float)) == {0.0}
        assert set(mine["ceiling"].astype(float)) == {float(scores.ceiling[0, place])}


def test_a_prediction_file_alone_has_the_ceiling_that_it_would_be_scored_with(folder):
    alone = {one["condition"]: one["ceiling"] for one in rows(_file(folder), "delta")}
    scored = {one["condition"]: one["ceiling"] for one in rows(folder, "delta", models=("additive",))}
    assert alone.keys() == scored.keys()
    for name, value in alone.items():
        assert float(value) == pytest.approx(float(scored[name]), rel=1e-3, abs=1e-6)


def test_no_change_has_no_correlation(folder):
    made = rows(folder, "delta", models=("no-change",))
    assert {float(one["predicted"]) for one in made} == {0.0}
    assert {one["r"] for one in made} == {""}


def test_pooled_squares_hold_every_gene_of_every_condition(folder):
    made = rows(folder, "delta", conditions=("pooled",), models=("additive", "no-change"))
    single = rows(folder, "delta", models=("additive",))
    genes = [one for one in made if one["kind"] == "genes"]
    for model in ("additive", "no-change"):
        assert sum(int(one["pairs"]) for one in genes if one["model"] == model) == len(single)
    aimed = {(float(one["observed"]), float(one["predicted"])) for one in single if one["target"] == "yes"}
    found = [one for one in made if one["kind"] == "target" and one["model"] == "additive"]
    assert {(float(one["observed"]), float(one["predicted"])) for one in found} == aimed
    assert len(aimed) > 0


def test_conditions_are_chosen_by_cells_and_not_by_result(folder, two_lines):
    sizes = stored(two_lines, "no-change").obs.query("condition != 'ctrl'").groupby("context", observed=True)
    largest = max(frame["condition"].value_counts().iloc[0] for _, frame in sizes)
    (name,) = {one["condition"] for one in rows(two_lines, "top20")}
    label, _, context = name.partition("@")
    frame = stored(two_lines, "no-change").obs
    assert ((frame["condition"] == f"{label}+ctrl") & (frame["context"] == context)).sum() == largest
    assert "those with most cells" in words(two_lines, "top20")[0]
    assert not any("most cells" in one for one in words(folder, "delta"))  # all are drawn


def test_the_model_that_heads_the_comparison_is_drawn_unless_one_is_named(folder):
    first = open_drawable(folder).comparison.first
    assert {one["model"] for one in rows(folder, "delta")} == {first}


def test_a_stand_in_is_told_and_stands_in_the_table(folder):
    made = rows(folder, "delta", models=("matching-mean",))
    fallen = {one["condition"] for one in made if one["stand_in"]}
    assert fallen
    told = words(folder, "delta", models=("matching-mean",))
    drawn = len({one["condition"] for one in made})
    assert f"matching-mean: a stand-in answered {len(fallen)} of {drawn} drawn conditions" in told


def test_a_file_of_another_tool_with_both_sides_is_drawn(folder, tmp_path):
    path = foreign_file(_file(folder), tmp_path / "foreign.h5ad")
    made = rows(path, "top20")
    assert {one["model"] for one in made if one["kind"] == "predicted"} == {"prediction"}
    own = {one["gene"]: one["mean"] for one in rows(_file(folder), "top20") if one["kind"] == "observed"}
    other = {one["gene"]: one["mean"] for one in made if one["kind"] == "observed"}
    shared = own.keys() & other.keys()  # the controls are cut elsewhere, so not every gene is
    assert len(shared) > 10
    assert all(float(own[gene]) == pytest.approx(float(other[gene]), rel=1e-6) for gene in shared)


@pytest.mark.slow
def test_models_of_two_splits_are_not_drawn_together(folder, tmp_path):
    other = folder_to_draw(pairs_file(tmp_path), tmp_path / "run", ("additive",), train_gene_fraction=0.5)
    home = tmp_path / "mixed" / "models"
    for name, source in (("one", folder), ("other", other)):
        (home / name).mkdir(parents=True)
        (home / name / "predictions.h5ad").write_bytes(_file(source).read_bytes())
    with pytest.raises(BadDataError, match="other and one were not judged on the same cells"):
        rows(tmp_path / "mixed", "delta", models=("one", "other"))


# ---- scores


def test_scores_are_those_of_the_run(folder):
    made = rows(folder, "compare", metrics=METRICS)
    assert len(made) == len(METRICS) * len(DRAWN)
    for one in made:
        scores = read_scores(folder / "models" / one["model"] / "scores")
        subset = "detectable" if scores.detectable.any() else "all"
        expected, null = scores.summary(one["metric"], subset), scores.permuted_score(one["metric"], subset)
        beside = scores.beside(one["metric"], subset)
        said = {name: float(one[name] or "nan") for name in ("score", "score_low", "score_high", "permuted")}
        np.testing.assert_equal(said["score"], expected.value)
        np.testing.assert_equal((said["score_low"], said["score_high"]), (expected.low, expected.high))
        np.testing.assert_equal(said["permuted"], null.value)
        assert (float(one["floor"]), float(one["ceiling"])) == (beside["floor"], beside["ceiling"])
        assert int(one["conditions"]) == expected.conditions


def test_strata_are_those_of_the_split_and_all_models_are_there(folder):
    made = rows(folder, "strata", metrics=("mse",))
    scores = read_scores(folder / "models" / "additive" / "scores")
    filled = {name.replace("_", " "): name for name, members in scores.strata.items() if members}
    assert {one["stratum"] for one in made} == set(filled)
    assert len(made) == len(filled) * len(DRAWN)
    for one in made:
        if one["model"] == "additive":
            assert float(one["score"]) == scores.summary("mse", filled[one["stratum"]]).value


def test_models_stand_best_first(folder):
    order = [one["model"] for one in rows(folder, "strata", metrics=("mse",))][: len(DRAWN)]
    scored = {one: read_scores(folder / "models" / one / "scores") for one in DRAWN}
    subset = open_drawable(folder).comparison.subset
    assert order == sorted(DRAWN, key=lambda one: (scored[one].summary("mse", subset).value, one))


def test_one_metric_of_each_kind_is_drawn_and_the_others_are_named(folder):
    assert {one["metric"] for one in rows(folder, "compare")} == {"pearson_delta", "mse", "discrimination_score_cosine"}
    assert any("drawn: 3 of 4 metrics" in one and "mae" in one for one in words(folder, "compare"))


def test_without_strata_nothing_is_drawn(two_lines):
    with pytest.raises(UsageError, match="names no strata"):
        rows(two_lines, "strata")


@pytest.fixture(scope="module")
def by_other_rules(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("rules") / "out"
    answers = ask_files(Files(_file(folder), name="mine"), Reading(), Asked(preset="cell-eval-0.8/minimal"))
    write_answers(answers, out)
    return out


@pytest.mark.slow
def test_scores_by_another_evaluators_rules_stand_beside_their_references(by_other_rules):
    made = rows(by_other_rules, "compare", metrics=("pearson_delta", "mae"))
    worth = pd.read_csv(by_other_rules / "worth.csv").set_index("metric")
    assert list(dict.fromkeys(one["model"] for one in made)) == ["mine", "no-change", "leave-one-out-mean"]
    for one in made:
        name = "score" if one["model"] == "mine" else one["model"].replace("-", "_")
        np.testing.assert_allclose(float(one["score"] or "nan"), worth.loc[one["metric"], name], rtol=1e-12)
        assert float(one["ceiling"]) == pytest.approx(worth.loc[one["metric"], "ceiling"], rel=1e-12)
        assert one["better"] == {"pearson_delta": "higher", "mae": "lower"}[one["metric"]]
    assert {one["metric"] for one in rows(by_other_rules, "compare")} > {"pearson_delta"}
    assert "leave-one-out-mean" in listed(by_other_rules)
    with pytest.raises(MissingError, match="only `compare` is drawn"):
        rows(by_other_rules, "strata")
    with pytest.raises(MissingError, match="holds scores and no cells"):
        rows(by_other_rules, "top20")
    with pytest.raises(UsageError, match="did you mean pearson_delta"):
        rows(by_other_rules, "compare", metrics=("pearson_dleta",))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 2}', '{"version": 1, "preset": "gears", "contexts": []}', "[" * 100_000]
)
def test_a_broken_record_of_another_evaluators_rules_is_refused(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(BadDataError, match="not readable as scores"):
        read_compatible(tmp_path)
    with pytest.raises(MissingError, match="neither predictions nor scores"):
        open_drawable(tmp_path)


@pytest.mark.parametrize(
    "facts",
    [
        {"labels": [3]},
        {"labels": 2.5},
        {"valid": None},
        {"valid": -1},
        {"score": "high"},
        {"score": True},
        {"low": float("inf")},
        {"ceiling": 10**400},
        {"reference no-change": {}},
        ["score"],
    ],
    ids=lambda one: str(one)[:20],
)
def test_numbers_of_another_evaluators_rules_that_are_none_are_refused(tmp_path, facts):
    record = {"version": 1, "preset": "cell-eval-0.8/minimal", "model": "mine"}
    metrics = {"pearson_delta": {"score": 0.5, "labels": 3, "valid": 2}}
    for given, sound in (({}, True), (facts, False)):
        changed = {**metrics["pearson_delta"], **given} if isinstance(given, dict) else given
        context = {"context": "", "metrics": {**metrics, "mae": changed}}
        (tmp_path / "scores.json").write_text(json.dumps({**record, "contexts": [context]}))
        if sound:
            assert read_compatible(tmp_path).metrics == ("pearson_delta", "mae")
        else:
            with pytest.raises(BadDataError, match="not readable as scores"):
                read_compatible(tmp_path)


# ---- what is not there


def conditions_of(*labels: str, contexts: tuple[str, ...] = ("",)) -> list[Condition]:
    return [Condition(Perturbation.parse(one), context) for one in labels for context in contexts]


@pytest.mark.parametrize("text", ["SET+KLF1", "KLF1+SET", "KLF1+SET+ctrl", "KLF1:unspecified+SET:unspecified"])
def test_a_condition_may_be_spelled_in_several_ways(text):
    known = conditions_of("KLF1+SET", "KLF1", "SET")
    assert named_conditions([text, "KLF1+SET"], known, [""], PLACE) == [known[0]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("KLF2", "no such condition in somewhere; did you mean KLF1"),
        ("klf1", "did you mean KLF1"),
        ("POU3F2", "there are KLF1, KLF1[+]SET, SET [(]--list shows all[)]"),
        ("KLF1@moon", "no such condition"),
        ("ctrl", "no such condition"),
        ("", "no such condition"),
    ],
)
def test_an_unknown_condition_is_named_with_what_resembles_it(text, reason):
    with pytest.raises(UsageError, match=reason):
        named_conditions([text], conditions_of("KLF1+SET", "KLF1", "SET"), [""], PLACE)


def test_a_condition_of_two_contexts_must_say_which():
    known = conditions_of("KLF1", "SET", contexts=("K562", "RPE1"))
    with pytest.raises(UsageError, match=r"which of KLF1@K562, KLF1@RPE1\?"):
        named_conditions(["KLF1"], known, ["K562", "RPE1"], PLACE)
    assert named_conditions(["KLF1@RPE1"], known, ["K562", "RPE1"], PLACE) == [known[1]]


@pytest.mark.parametrize(
    ("kind", "wanted", "reason"),
    [
        ("top20", {"models": ("aditive",)}, "--model aditive: no such model in .*did you mean additive"),
        ("delta", {"models": tuple("abcde")}, "5 models are too many"),
        ("compare", {"models": ("aditive",)}, "did you mean additive"),
        ("compare", {"metrics": ("pearson",)}, "--metric pearson: no such metric .*did you mean pearson_delta"),
        ("strata", {"metrics": ("msee",)}, "did you mean mse"),
        ("strata", {"metrics": ("mse", "mae")}, "give --metric once"),
        ("delta", {"conditions": ("pooled", "G00001")}, "name no other beside it"),
    ],
)
def test_what_a_run_does_not_have_is_refused_with_what_it_has(folder, kind, wanted, reason):
    with pytest.raises(UsageError, match=reason):
        FIGURES[kind](open_drawable(folder), Wanted(**wanted))


def test_a_folder_of_scores_has_no_cells_to_draw(folder, tmp_path):
    for name in DRAWN:
        home = tmp_path / "models" / name / "scores"
        home.mkdir(parents=True)
        for one in (folder / "models" / name / "scores").iterdir():
            (home / one.name).write_bytes(one.read_bytes())
    assert rows(tmp_path, "compare") == rows(folder, "compare")
    for kind in ("top20", "delta"):
        with pytest.raises(MissingError, match="holds scores and no cells; give the run folder or the prediction file"):
            rows(tmp_path, kind)
    assert "conditions" in listed(tmp_path)


@pytest.mark.parametrize("kind", ["compare", "strata"])
def test_a_prediction_file_has_no_scores_to_draw(folder, kind):
    with pytest.raises(MissingError, match="holds no scores; `pertura evaluate"):
        rows(_file(folder), kind)


def test_one_model_alone_is_not_compared(folder, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "additive").symlink_to(folder / "models" / "additive")
    with pytest.raises(UsageError, match="no score stands alone"):
        rows(tmp_path, "compare")


def test_what_is_no_place_to_draw_from_is_refused(tmp_path, folder):
    with pytest.raises(MissingError, match="no such file or folder"):
        open_drawable(tmp_path / "nowhere")
    with pytest.raises(MissingError, match="neither predictions nor scores under"):
        open_drawable(tmp_path)
    (tmp_path / "text.h5ad").write_text("no")
    with pytest.raises(PerturaError):
        open_drawable(tmp_path / "text.h5ad")
    lone = anndata.read_h5ad(_file(folder))
    lone.obs = lone.obs[["condition"]]
    bare = anndata.AnnData(lone.X, lone.obs, lone.var)
    bare.write_h5ad(tmp_path / "bare.h5ad")
    with pytest.raises(UsageError, match="does not hold observed cells beside predicted ones; `pertura evaluate"):
        open_drawable(tmp_path / "bare.h5ad")


def test_a_recipe_that_cannot_be_read_is_no_reason_not_to_draw(folder, tmp_path):
    (tmp_path / "models").symlink_to(folder / "models")
    (tmp_path / "recipe.toml").write_text("format = 'of tomorrow'")
    assert rows(tmp_path, "compare") == rows(folder, "compare")


# ---- files


def test_figure_and_numbers_are_written_beside_one_another_and_the_run_is_left_as_it_was(folder, tmp_path):
    before = contents(folder)
    made = write_figure("delta", folder, Wanted(width_mm=89), tmp_path / "new" / "figure.svg")
    assert (made.figure, made.source) == (tmp_path / "new" / "figure.svg", tmp_path / "new" / "figure.csv")
    assert made.size.startswith("89 x ")
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == ["figure.csv", "figure.svg"]
    assert contents(folder) == before
    again = write_figure("delta", folder, Wanted(width_mm=89), tmp_path / "again.svg")
    assert again.figure.read_bytes() == made.figure.read_bytes()
    assert again.source.read_bytes() == made.source.read_bytes()


@pytest.mark.slow
def test_the_order_of_the_cells_in_a_file_changes_no_number(folder, tmp_path):
    file = anndata.read_h5ad(foreign_file(_file(folder), tmp_path / "a.h5ad"))
    file[np.random.default_rng(1).permutation(file.n_obs)].copy().write_h5ad(tmp_path / "b.h5ad")
    first, second = (pd.DataFrame(rows(tmp_path / name, "delta")) for name in ("a.h5ad", "b.h5ad"))
    for name in ("observed", "predicted"):
        np.testing.assert_allclose(first[name].astype(float), second[name].astype(float), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["figure", "figure.jpg", "figure.csv", "pdf"])
def test_only_forms_that_keep_what_they_promise_are_written(folder, tmp_path, name):
    with pytest.raises(UsageError, match=r"a figure ends in \.pdf, \.svg, \.png"):
        write_figure("compare", folder, Wanted(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_listing_names_everything_that_can_be_drawn(folder, two_lines):
    text = listed(folder)
    for name in (*DRAWN, *METRICS, "combo_seen0", "unseen_single"):
        assert name in text
    assert all(one["condition"] in text for one in rows(folder, "delta"))
    assert "strata: none" in listed(two_lines)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (Scale("counts"), "counts"),
        (Scale("lognormalised", 1e4, float(np.e)), "ln(1 + counts per 10,000)"),
        (Scale("lognormalised", 1e6, 2.0), "log2(1 + counts per 1,000,000)"),
        (Scale("lognormalised", None, float(np.e)), "ln-normalised"),
        (Scale("lognormalised"), "log-normalised"),
    ],
)
def test_an_axis_says_what_its_numbers_are(scale, words):
    assert unit(scale) == words


def _file(folder: Path) -> Path:
    return folder / "models" / "additive" / "predictions.h5ad"
