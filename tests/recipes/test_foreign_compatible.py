"""Predictions judged by another evaluator's rules: the files, what stands beside each number, contexts and strata."""

import json
import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from foreign_screens import CONTROL, LABELS, means_frame, prediction, screen
from pertura.core.errors import BadDataError, UsageError
from pertura.data.labelled_file import open_labelled
from pertura.evaluation.compatible.profile import Options
from pertura.evaluation.compatible.table import COMPATIBLE
from pertura.models.table import BASELINES
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.compatible import ask_files
from pertura.recipes.foreign.compatible_files import prefix_of, write_answers
from pertura.recipes.foreign.compatible_page import answer_text, sentence, write_page
from pertura.recipes.foreign.files import Files, Reading

PRESET = "cell-eval-0.8/minimal"
QUICK = Asked(PRESET, effort="less", threads=1)
REFERENCES = ["no-change", "leave-one-out-mean"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    observed = screen()
    observed.write_h5ad(folder / "observed.h5ad")
    prediction(observed).write_h5ad(folder / "predicted.h5ad")
    return Files(folder / "predicted.h5ad", folder / "observed.h5ad")


@pytest.fixture(scope="module")
def answers(files):
    return ask_files(files, Reading(), QUICK)


def test_the_numbers_are_those_of_the_preset(files, answers):
    preset = COMPATIBLE[PRESET]
    sides = [open_labelled(one).cells for one in (files.predicted, files.observed)]
    plain = preset.judge(*sides, Options(threads=1))
    assert list(plain.columns) == list(answers[0].judged.columns)
    for name, column in plain.columns.items():
        np.testing.assert_array_equal(column.values, answers[0].judged.columns[name].values, err_msg=name)


def test_everything_stands_beside_every_scored_number(answers):
    names = {one.metric.name for one in answers[0].worth.metrics}
    assert names == {one.name for one in COMPATIBLE[PRESET].metrics if one.best is not None}
    for row in answers[0].worth.metrics:
        assert list(row.references) == REFERENCES
        for number in (row.score.value, row.permuted.value, row.ceiling, row.inflation, row.difference.value):
            assert np.isfinite(number), row.metric.name
    assert answers[0].worth.shared_controls == 1.0


def test_the_files_are_written(files, answers, tmp_path):
    write_answers(answers, tmp_path)
    write_page(answers, tmp_path)
    names = {"results.csv", "agg_results.csv", "real_de.csv", "pred_de.csv", "worth.csv", "scores.json", "report.html"}
    assert {one.name for one in tmp_path.iterdir()} == names
    results = pd.read_csv(tmp_path / "results.csv", index_col="perturbation")
    assert tuple(results.index) == LABELS
    worth = pd.read_csv(tmp_path / "worth.csv").set_index("metric")
    assert worth.loc["pearson_delta", "score"] == pytest.approx(results["pearson_delta"].mean())
    assert "needs --train" in worth.loc["mse", "remark"]
    record = json.loads((tmp_path / "scores.json").read_text())
    assert (record["preset"], record["preset_version"]) == (PRESET, COMPATIBLE[PRESET].version)
    assert record["contexts"][0]["metrics"]["mse"]["low"] < record["contexts"][0]["metrics"]["mse"]["high"]


def test_the_page_leads_with_what_the_number_is_worth(answers, tmp_path):
    write_page(answers, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f"<h1>{sentence(answers[0])}." in page
    assert "prediction has pearson_delta" in sentence(answers[0])
    for words in ("leave-one-out mean", "inflation", "needs --train", COMPATIBLE[PRESET].version, "GENE03"):
        assert words in page
    assert not re.search(r'(src|href)="?(http|//)|url\(http|<script', page)
    assert "warning: 100% of the predicted control cells" in answer_text(answers)


@pytest.mark.slow
def test_equal_input_makes_equal_files(files, answers, tmp_path):
    again = ask_files(files, Reading(), QUICK)
    for folder, made in ((tmp_path / "a", answers), (tmp_path / "b", again)):
        write_answers(made, folder)
        write_page(made, folder)
    for one in sorted((tmp_path / "a").iterdir()):
        assert one.read_bytes() == (tmp_path / "b" / one.name).read_bytes(), one.name


@pytest.mark.slow
def test_a_skipped_metric_changes_no_other(files, answers):
    less = ask_files(files, Reading(), Asked(PRESET, frozenset({"mse"}), effort="less", threads=1))[0]
    assert "mse" not in less.judged.columns
    ours, theirs = answers[0].worth.of("pearson_delta"), less.worth.of("pearson_delta")
    assert ours.permuted == theirs.permuted
    assert ours.references == theirs.references


@pytest.mark.slow
def test_contexts_are_judged_each_by_itself_in_files_of_their_own(tmp_path):
    observed = screen(contexts=("K562", "a/b"))
    observed.write_h5ad(tmp_path / "o.h5ad")
    prediction(observed).write_h5ad(tmp_path / "p.h5ad")
    both = Files(tmp_path / "p.h5ad", tmp_path / "o.h5ad")
    asked = Asked("cell-eval-0.8/pds", effort="less", threads=1)
    answers = ask_files(both, Reading(context_column="cell_line"), asked)
    assert [one.context for one in answers] == ["K562", "a/b"]
    write_answers(answers, tmp_path / "out")
    written = {one.name for one in (tmp_path / "out").iterdir()}
    assert {"K562_results.csv", "a-b_results.csv", "a-b_agg_results.csv", "worth.csv"} <= written
    own = observed[(observed.obs["cell_line"] == "K562").to_numpy()]
    own.write_h5ad(tmp_path / "alone.h5ad")
    made = anndata.read_h5ad(both.predicted)
    made[(made.obs["cell_line"] == "K562").to_numpy()].write_h5ad(tmp_path / "own.h5ad")
    alone = ask_files(Files(tmp_path / "own.h5ad", tmp_path / "alone.h5ad"), Reading(), asked)[0]
    for name, column in alone.judged.columns.items():
        np.testing.assert_array_equal(column.values, answers[0].judged.columns[name].values)


@pytest.mark.slow
def test_contexts_that_are_pooled_are_warned_of(tmp_path):
    observed = screen(contexts=("K562", "RPE1"))
    observed.write_h5ad(tmp_path / "o.h5ad")
    prediction(observed).write_h5ad(tmp_path / "p.h5ad")
    asked = Asked("cell-eval-0.8/pds", effort="less", threads=1)
    told = ask_files(Files(tmp_path / "p.h5ad", tmp_path / "o.h5ad"), Reading(), asked)[0].warnings
    assert any("cells of 2 contexts (obs['cell_line']: K562, RPE1) are judged as one" in text for text in told)


@pytest.mark.parametrize("name", ["../up", "..", "a\\b"])
def test_a_context_does_not_lead_out_of_the_folder(name):
    if name == "../up":
        assert prefix_of(name) == "..-up_"
        return
    with pytest.raises(BadDataError, match="cannot begin the name of a file"):
        prefix_of(name)


@pytest.mark.slow
def test_labels_that_were_not_predicted_are_named_and_not_judged(files, tmp_path):
    made = anndata.read_h5ad(files.predicted)
    made[(made.obs["target_gene"] != "GENE04").to_numpy()].write_h5ad(tmp_path / "p.h5ad")
    answer = ask_files(Files(tmp_path / "p.h5ad", files.observed), Reading(), QUICK)[0]
    assert answer.judged.labels == LABELS[:-1]
    assert "observed but not predicted, and so not judged: 1 (GENE04)" in answer.warnings


@pytest.mark.slow
def test_predicted_and_observed_cells_in_one_file(files, tmp_path):
    observed = screen()
    made = prediction(observed)
    truth = anndata.concat(
        [
            observed[(observed.obs["target_gene"] != CONTROL).to_numpy()],
            observed[(observed.obs["target_gene"] == CONTROL).to_numpy()],
        ]
    )
    made.layers["truth"] = truth.X
    made.obs["target_gene"] = pd.Categorical(truth.obs["target_gene"].to_numpy())
    made.write_h5ad(tmp_path / "both.h5ad")
    one = ask_files(Files(tmp_path / "both.h5ad"), Reading(), QUICK)[0]
    other = ask_files(files, Reading(), QUICK)[0]
    for name in ("mse", "pearson_delta", "overlap_at_N"):
        np.testing.assert_allclose(one.judged.columns[name].values, other.judged.columns[name].values, rtol=1e-6)


def test_a_table_of_means_gets_what_needs_means_and_says_what_needs_cells(files, answers, tmp_path):
    frame = means_frame(anndata.read_h5ad(files.predicted))
    for table in (frame, frame.T.iloc[::-1, ::-1]):
        table.to_csv(tmp_path / "means.csv")
        answer = ask_files(Files(tmp_path / "means.csv", files.observed), Reading(), QUICK)[0]
        assert answer.judged.undone["overlap_at_N"].startswith("needs cells")
        assert any(text.startswith("means only (") for text in answer.warnings)
        for name in ("pearson_delta", "mse", "mae", "discrimination_score_l1"):
            ours, theirs = answer.judged.columns[name].values, answers[0].judged.columns[name].values
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6, err_msg=name)
    write_page((answer,), tmp_path)
    assert "needs cells: the prediction is a table of means" in (tmp_path / "report.html").read_text()


def test_means_without_control_take_the_observed_one_and_say_so(files, tmp_path):
    frame = means_frame(anndata.read_h5ad(files.predicted)).drop(columns=CONTROL)
    frame.to_parquet(tmp_path / "means.parquet")
    answer = ask_files(Files(tmp_path / "means.parquet", files.observed), Reading(), QUICK)[0]
    assert "the table has no control: the mean of all observed control cells stands for it" in answer.warnings
    assert np.isfinite(answer.judged.columns["pearson_delta"].values).all()


@pytest.mark.slow
def test_train_cells_bring_every_baseline_and_the_judged_are_withheld(files, tmp_path):
    tested = LABELS[:3]
    for name, source in (("o.h5ad", files.observed), ("p.h5ad", files.predicted)):
        cells = anndata.read_h5ad(source)
        cells[cells.obs["target_gene"].isin([*tested, CONTROL]).to_numpy()].write_h5ad(tmp_path / name)
    asked = Asked("cell-eval-0.8/pds", effort="less", threads=1)
    answer = ask_files(Files(tmp_path / "p.h5ad", tmp_path / "o.h5ad", files.observed), Reading(), asked)[0]
    row = answer.worth.metrics[0]
    assert set(row.references) == {*REFERENCES, *BASELINES}
    assert any("3 conditions of the train cells are judged and were not shown" in text for text in answer.warnings)
    assert all(np.isfinite(value) for value in row.references.values())


def test_the_strata_of_a_split_reach_the_preset(files, tmp_path):
    from pertura.core.perturbation import Condition, Perturbation
    from pertura.core.split import Split
    from pertura.data.splits.files import write_split
    from pertura.recipes.foreign.learnt import strata_of

    test = frozenset(Condition(Perturbation.of(one)) for one in LABELS[:2])
    absent = Condition(Perturbation.of("ELSEWHERE"))
    split = Split("mine", frozenset(), frozenset(), test | {absent}, {"some": test, "none": frozenset({absent})})
    write_split(split, tmp_path / "split.json")
    found, told = strata_of(tmp_path / "split.json", LABELS, CONTROL)
    assert found == {"some": frozenset(LABELS[:2]), "none": frozenset()}
    assert told.startswith("1 conditions of the strata")


def test_what_is_not_there_is_named_with_what_is(files):
    for asked, words in (
        (Asked("magic"), "no preset 'magic'; there are pertura, cell-eval-0.8"),
        (Asked(PRESET, frozenset({"magic"})), "--skip magic: preset cell-eval-0.8/minimal has overlap_at_N"),
        (Asked(PRESET, effort="huge"), "--effort huge: one of less, normal, more"),
    ):
        with pytest.raises(UsageError, match=words):
            ask_files(files, Reading(), asked)
    with pytest.raises(UsageError, match="does not hold observed cells beside predicted ones"):
        ask_files(Files(files.observed), Reading(), QUICK)
    with pytest.raises(UsageError, match="holds means only; give --observed FILE"):
        ask_files(Files(Path("means.csv")), Reading(), QUICK)


@pytest.fixture(scope="module")
def counts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("counts")
    observed = screen(scale="counts")
    observed.write_h5ad(folder / "observed.h5ad")
    prediction(observed, scale="counts").write_h5ad(folder / "predicted.h5ad")
    prediction(screen()).write_h5ad(folder / "logarithms.h5ad")
    return folder


@pytest.mark.slow
def test_the_rules_of_2026_bring_their_own_scale(counts, tmp_path):
    asked = Asked("vcc2026", effort="less", threads=1)
    answers = ask_files(Files(counts / "predicted.h5ad", counts / "observed.h5ad"), Reading(), asked)
    write_answers(answers, tmp_path)
    write_page(answers, tmp_path)
    scaled = pd.read_csv(tmp_path / "scaled.csv", index_col="metric")
    assert list(scaled.index) == [one.metric.name for one in answers[0].worth.metrics]
    for name in scaled.index:
        assert scaled.loc[name, "value"] == pytest.approx(answers[0].worth.of(name).score.value)
    assert "On the published scale" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_logarithms_are_judged_on_counts_where_that_is_asked_for_and_refused_elsewhere(counts):
    files = Files(counts / "logarithms.h5ad", counts / "observed.h5ad")
    with pytest.raises(BadDataError, match="predicted cells are lognormalised, observed ones counts"):
        ask_files(files, Reading(), Asked("vcc2026"))
    answer = ask_files(files, Reading(), Asked("vcc2026/from-log", effort="less", threads=1))[0]
    assert answer.preset.name == "vcc2026/from-log"
    assert answer.warnings[0].startswith("The prediction was turned into counts")
    assert answer.worth.of("pds_cosine").references["no-change"] == pytest.approx(0.5, abs=0.2)
    sides = [open_labelled(one).cells for one in (files.predicted, files.observed)]
    plain = COMPATIBLE["vcc2026/from-log"].judge(*sides, Options(threads=1))
    for name, column in plain.columns.items():
        np.testing.assert_array_equal(column.values, answer.judged.columns[name].values, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["gears", "cellflow"])
def test_every_evaluator_gets_the_same_beside_its_numbers(preset, files):
    answer = ask_files(files, Reading(), Asked(preset, effort="less", threads=1))[0]
    for row in answer.worth.metrics:
        assert np.isfinite(row.references["leave-one-out-mean"]), row.metric.name
        assert np.isfinite(row.ceiling), row.metric.name
