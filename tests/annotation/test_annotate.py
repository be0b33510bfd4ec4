"""`pertura.annotate` as a whole: what comes out, what stays the same, and every input that must not pass unseen."""

import json
import re
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from annotated_files import SYMBOLS, TYPES, as_counts, labelled, with_scaled_x
from annotated_runs import CLUSTERS, QUICK, labels, quietly, same_labels, told
from small_networks import small_base, write_published

from pertura import annotate
from pertura.annotation.annotator import load_annotator
from pertura.annotation.source import open_source
from pertura.annotation.tuning_options import Schedule, TuningOptions
from pertura.core.errors import BadDataError, MissingError, PerturaError, UsageError
from pertura.recipes.foreign.in_python import PerturaWarning

SMALL = TuningOptions(head=Schedule(2, 1e-2), lora=Schedule(1, 1e-2), full=Schedule(1, 1e-3), batch=32)
SIX = (
    "report.md",
    "report.csv",
    "strategy_metrics.csv",
    "frozen_embedding_umap.png",
    "lora_embedding_umap.png",
    "best_strategy_confusion_matrix.png",
)
COLUMNS = ["strategy", "accuracy", "macro_f1", "silhouette", "runtime_sec", "trainable_parameters"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("model") / "small", small_base(SYMBOLS))


@pytest.fixture(scope="module")
def linear():
    return quietly(labelled(), "cell_type", strategy="linear")


# ---- what comes out


def test_markers_are_learnt_and_the_query_gets_them(linear):
    query = labelled(30, seed=3, name="new")
    found = labels(linear, query)
    assert (found["pertura_raw_label"] == query.obs["cell_type"]).mean() > 0.9
    assert linear.strategies["accuracy"].min() > 0.9
    assert list(linear.strategies.columns) == COLUMNS
    assert linear.confusion.to_numpy().sum() == 90
    assert set(found["pertura_label"]) <= {*TYPES, "unknown"}
    unknown = found["pertura_unknown"]
    assert (found.loc[~unknown, "pertura_label"] == found.loc[~unknown, "pertura_raw_label"]).all()


def test_shuffled_labels_are_not_learnt():
    adata = labelled(120)
    adata.obs["cell_type"] = adata.obs["cell_type"].to_numpy()[np.random.default_rng(0).permutation(120)]
    made = quietly(adata, "cell_type", strategy="linear", folds=5)
    assert made.strategies["accuracy"].max() < 0.5


def test_a_query_in_any_order_part_or_gene_order_gets_the_same_labels(linear):
    query = labelled(40, seed=3, name="new")
    whole = labels(linear, query)
    rng = np.random.default_rng(1)
    same_labels(labels(linear, query[rng.permutation(40)][:, rng.permutation(len(SYMBOLS))].copy()), whole)
    same_labels(labels(linear, query[7:8].copy()), whole)
    dense = query.copy()
    dense.X = dense.X.toarray().astype(np.float64)
    same_labels(labels(linear, dense), whole)


def test_a_query_that_stays_on_disk_gets_the_same_labels_block_by_block(linear, tmp_path, monkeypatch):
    from pertura.annotation import annotator, source
    from pertura.data.backed import BackedRows
    from pertura.recipes.annotating import querying
    from pertura.recipes.annotating.wish import Wish

    query = labelled(40, seed=3, name="new")
    query.write_h5ad(tmp_path / "query.h5ad")
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(annotator, "BLOCK_CELLS", 7)
    monkeypatch.setattr(querying, "BLOCK_CELLS", 7)
    wish = Wish("cell_type", clusters=CLUSTERS)
    out = tmp_path / "out.h5ad"
    found = querying.labelled_file(tmp_path / "query.h5ad", out, linear.annotator, wish, lambda *_: None)
    assert isinstance(found.query.source.expression, BackedRows)
    written = anndata.read_h5ad(out)
    same_labels(written.obs, labels(linear, query))
    _, places = querying.labelled_cells(query, linear.annotator, wish, lambda *_: None)
    np.testing.assert_allclose(written.obsm["X_pertura"], places, rtol=1e-4, atol=1e-5)
    assert written.obs["donor"].tolist() == query.obs["donor"].tolist()


def test_the_order_of_the_reference_has_no_influence():
    adata = labelled()
    order = np.random.default_rng(3).permutation(90)
    first = quietly(adata, "cell_type", strategy="linear")
    second = quietly(adata[order].copy(), "cell_type", strategy="linear")
    pd.testing.assert_frame_equal(
        first.folds.drop(columns="runtime_sec"), second.folds.drop(columns="runtime_sec"), rtol=1e-4
    )


def test_a_saved_annotator_repeats_its_labels(linear, tmp_path):
    query = labelled(20, seed=4, name="new")
    linear.annotator.save(tmp_path / "kept")
    again = load_annotator(tmp_path / "kept")
    assert again.classes == TYPES
    before, after = (next(one.calls(one.query(open_source(query))))[1] for one in (linear.annotator, again))
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    np.testing.assert_array_equal(before.by_distance, after.by_distance)
    header = tmp_path / "kept/model.json"
    header.write_text(header.read_text().replace("Monocyte", "Dendritic"))
    with pytest.raises(BadDataError, match="digest"):
        load_annotator(tmp_path / "kept")


def test_folds_by_donor_keep_donors_apart():
    made = quietly(labelled(), "cell_type", strategy="linear", group="donor")
    donors = labelled().obs["donor"].to_numpy()
    for one in made.found.comparison.folds:
        assert not set(donors[one.train]) & set(donors[one.test])


@pytest.mark.slow
def test_every_strategy_runs_and_writes_the_published_files(model, tmp_path):
    query = labelled(12, seed=5, name="new")
    path = tmp_path / "query.h5ad"
    query.write_h5ad(path)
    made = quietly(
        labelled(60), "cell_type", model=model, strategy="linear,knn,probe,head,lora,full", min_gene_overlap=20,
        tuning=SMALL, folds=2, query=path, output=tmp_path / "out", label_with="scgpt_lora",
    )  # fmt: skip
    out = tmp_path / "out"
    assert [name for name in SIX if not (out / name).stat().st_size] == []
    metrics = pd.read_csv(out / "strategy_metrics.csv")
    assert list(metrics.columns) == COLUMNS
    assert set(metrics["strategy"]) == {
        "pca_logistic_annotation", "logistic_all_genes", "scgpt_knn", "scgpt_frozen_probe", "scgpt_head", "scgpt_lora",
        "scgpt_full",
    }  # fmt: skip
    assert metrics["macro_f1"].is_monotonic_decreasing
    report = pd.read_csv(out / "report.csv").iloc[0]
    assert report["num_genes_matched"] == len(SYMBOLS)
    assert report["best_strategy"] == "scgpt_lora"
    page = (out / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](http|//)|<script""", page)
    written = anndata.read_h5ad(out / "annotated.h5ad")
    assert written.obsm["X_pertura"].shape == (12, 16)
    same_labels(written.obs, made.labels)
    np.testing.assert_array_equal(written.X.toarray(), query.X.toarray())
    for name in ("head", "lora"):
        row = metrics.set_index("strategy").loc[f"scgpt_{name}"]
        assert row["trainable_parameters"] == 2 * 16 + 17 * 3 + (name == "lora") * 2 * 2 * 4 * 32

    loaded = load_annotator(out / "annotator")
    arrays = (out / "annotator/weights.safetensors").stat().st_size
    assert arrays < 30_000
    found = next(loaded.calls(loaded.query(open_source(path))))[1]
    np.testing.assert_allclose(found.confidence, made.labels["pertura_probability"], rtol=1e-4)

    other = write_published(tmp_path / "other", small_base(SYMBOLS, seed=5))
    with pytest.raises(BadDataError, match="another network"):
        load_annotator(out / "annotator", other)
    with pytest.raises(MissingError, match="give --model"):
        load_annotator(out / "annotator", tmp_path / "nowhere")


def test_the_reference_is_annotated_by_folds_that_had_not_learnt_a_cell(tmp_path):
    adata = labelled(60)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object)
    adata.obs.loc[adata.obs_names[:6], "cell_type"] = None
    quietly(adata, "cell_type", strategy="linear", output=tmp_path / "out", clusters="donor")
    obs = anndata.read_h5ad(tmp_path / "out/annotated.h5ad").obs
    assert obs["pertura_out_of_fold"].tolist() == [False] * 6 + [True] * 54
    predictions = pd.read_csv(tmp_path / "out/reference_predictions.csv").set_index("cell")
    kept = obs.iloc[6:]
    assert (predictions.loc[kept.index, "pertura_raw_label"] == kept["pertura_raw_label"].astype(str)).all()


@pytest.mark.parametrize("cells", [4, 8])
def test_the_published_profile_runs_on_a_handful_of_cells(model, tmp_path, cells):
    adata = labelled(cells, strength=3.0)
    flags = {name: one for name, one in QUICK.items() if name not in ("folds", "repeats")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerturaWarning)
        made = annotate(
            adata, "cell_type", model=model, profile="quickstart", strategy="linear,probe,head,lora",
            output=tmp_path / "out", **{**flags, "projection": "umap"},
        )  # fmt: skip
    assert [name for name in SIX if not (tmp_path / "out" / name).stat().st_size] == []
    assert made.found.wish.tuning.head == Schedule(1, 5e-3)
    assert made.found.wish.tuning.lora == Schedule(1, 2e-3)
    again = (tmp_path / "out/report.csv").read_text()
    assert "not defined" not in again


def test_what_is_asked_for_stays_beside_a_profile():
    from pertura.recipes.annotating.wish import Wish, profiled

    plain = profiled(Wish("type"), "full")
    assert (plain.min_gene_overlap, plain.folds, plain.repeats, plain.min_cells) == (96, 1, 1, 1)
    asked = profiled(Wish("type", min_gene_overlap=20, folds=3, repeats=2, min_cells=4), "full")
    assert (asked.min_gene_overlap, asked.folds, asked.repeats, asked.min_cells) == (20, 3, 2, 4)


# ---- what must not pass unseen


def test_scaled_values_are_refused_and_raw_is_named(tmp_path):
    adata = with_scaled_x(labelled())
    path = tmp_path / "scaled.h5ad"
    adata.write_h5ad(path)
    for data in (adata, path):
        with pytest.raises(BadDataError, match=r"scaled values.*--layer raw"):
            quietly(data, "cell_type")
    assert quietly(path, "cell_type", layer="raw", strategy="linear").strategies["accuracy"].min() > 0.9
    with pytest.raises(UsageError, match="--layer 'rew' is not there; did you mean 'raw'"):
        quietly(path, "cell_type", layer="rew")


def test_missing_labels_one_class_and_a_class_of_one_cell():
    adata = labelled()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object)
    adata.obs.loc[adata.obs_names[:5], "cell_type"] = None
    adata.obs.loc[adata.obs_names[5], "cell_type"] = "Only one"
    made, said = told(adata, "cell_type", strategy="linear")
    assert any("5 of 90 cells have no label" in one for one in said)
    assert any("Only one (1)" in one for one in said)
    assert "Only one" not in made.classes["class"].tolist()
    adata.obs["cell_type"] = "B cell"
    with pytest.raises(BadDataError, match="1 class"):
        quietly(adata, "cell_type")


def test_ensembl_ids_mean_the_same_genes(model, linear):
    from pertura.genes.identifiers import human_identifiers

    numbers = {}
    for number, names in human_identifiers().ensembl.items():
        for one in names:
            numbers.setdefault(one, f"ENSG{number:011d}")
    query = labelled(30, seed=3, name="new")
    other = query.copy()
    other.var_names = [numbers[name] for name in SYMBOLS]
    same_labels(labels(linear, other), labels(linear, query))
    made = quietly(other, "cell_type", model=model, strategy="probe", min_gene_overlap=20, folds=2)
    assert made.found.reference.overlap.matched == len(SYMBOLS)
    assert made.found.reference.overlap.renamed == len(SYMBOLS)


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path):
    other = write_published(tmp_path / "other", small_base([f"Gm{number}" for number in range(1000, 1040)]))
    with pytest.raises(BadDataError, match=r"0 of 40 genes are in the vocabulary.*--min-gene-overlap"):
        quietly(labelled(), "cell_type", model=other, strategy="probe")
    vocab = json.loads((other / "vocab.json").read_text())
    (other / "vocab.json").write_text(json.dumps(vocab | {"LATER": 5000}))
    with pytest.raises(BadDataError, match="vocab"):
        quietly(labelled(), "cell_type", model=other, strategy="probe")


def test_too_small_an_overlap_is_refused_by_its_flag(model):
    with pytest.raises(BadDataError, match=r"40 of 40 genes .* fewer than --min-gene-overlap 500"):
        quietly(labelled(), "cell_type", model=model, strategy="probe")


def test_a_query_with_a_third_of_the_genes_is_refused_or_counted(linear):
    query = labelled(30, seed=3)[:, :13].copy()
    with pytest.raises(BadDataError, match="27 of 40 genes that were learnt from are not in the query: 32% are left"):
        linear.annotator.query(open_source(query))
    found = linear.annotator.query(open_source(query), least=0.3)
    assert any("27 of 40 genes" in one for one in found.warnings)


def test_counts_where_logarithms_were_learnt_are_refused_or_brought_to_scale(linear):
    query = as_counts()
    with pytest.raises(BadDataError, match="cannot be brought to one scale"):
        linear.annotator.query(open_source(query))
    query.obs["n_counts"] = np.asarray(query.X.sum(axis=1)).ravel() * 3
    found = linear.annotator.query(open_source(query))
    assert any("60 cells hold counts" in one for one in found.warnings)


def test_counts_can_be_learnt_from_and_then_any_scale_of_query_is_the_same():
    made, said = told(as_counts(90, seed=0), "cell_type", strategy="linear")
    assert any("normalised by their own sum" in one for one in said)
    query = as_counts(30, seed=2)
    as_log = query.copy()
    totals = np.asarray(query.X.sum(axis=1)).ravel()
    as_log.X = np.log1p(query.X.toarray() / totals[:, None] * 5000).astype(np.float32)
    found = made.annotator.query(open_source(as_log))
    assert any("brought to the latter" in one for one in found.warnings)
    same_labels(labels(made, as_log), labels(made, query))


def test_values_that_are_no_expression_are_refused():
    adata = labelled()
    adata.X = adata.X.toarray()
    adata.X[3, 4] = np.nan
    with pytest.raises(BadDataError, match="1 NaN values"):
        quietly(adata, "cell_type")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"strategy": "lora"}, "needs|pretrained network"),
        ({"strategy": "forest"}, "there are linear"),
        ({"label_with": "scgpt_lora", "strategy": "linear"}, "there are pca_logistic"),
        ({"group": "patient"}, "obs has no such column"),
        ({"fold": 3}, "did you mean"),
        ({"model": "/nowhere/at/all", "strategy": "probe"}, "nowhere"),
    ],
)
def test_a_wish_that_cannot_be_met_says_what_can(flags, problem):
    with pytest.raises(PerturaError, match=problem):
        quietly(labelled(), "cell_type", **flags)


def test_a_silent_cell_is_unknown_and_counted(model):
    reference = labelled(60)
    made = quietly(reference, "cell_type", model=model, strategy="probe", min_gene_overlap=20, folds=2)
    query = labelled(6, seed=9, name="new")
    query.X = query.X.toarray()
    query.X[2] = 0
    found = labels(made, query)
    assert found["pertura_label"].tolist()[2] == "unknown"
    assert np.isnan(found["pertura_distance"].iloc[2])


def test_types_that_are_in_one_donor_alone_are_named_and_count_as_lost():
    adata = labelled(90)
    adata.obs["batch"] = adata.obs["cell_type"].astype(str)
    made, said = told(adata, "cell_type", strategy="linear", group="batch")
    assert any("3 of 3 classes are in one group of obs['batch'] alone" in one for one in said)
    assert made.strategies["macro_f1"].max() == 0
    _, said = told(labelled(90), "cell_type", strategy="linear", group="donor")
    assert not any("alone" in one for one in said)


def test_a_checkpoint_that_knows_half_of_the_genes_says_so(model, tmp_path):
    half = [name if place % 2 else f"ELSE{place}" for place, name in enumerate(SYMBOLS)]
    flags = {"strategy": "probe", "min_gene_overlap": 20, "folds": 2}
    other = write_published(tmp_path / "half", small_base(half))
    _, said = told(labelled(60), "cell_type", model=other, **flags)
    assert any("20 of 40 genes have no token" in one for one in said)
    _, said = told(labelled(60), "cell_type", model=model, **flags)
    assert not any("token" in one or "args.json" in one for one in said)


def test_a_checkpoint_that_does_not_say_its_heads_is_read_with_a_warning(tmp_path):
    folder = write_published(tmp_path / "bare", small_base(SYMBOLS))
    (folder / "args.json").unlink()
    _, said = told(labelled(60), "cell_type", model=folder, strategy="probe", min_gene_overlap=20, folds=2)
    assert any("has no args.json: 8 heads and 51 bins are assumed" in one for one in said)


def test_intervals_of_scores_stay_among_possible_scores():
    from pertura.recipes.annotating.tables import interval_of

    made = quietly(labelled(60, strength=0.4), "cell_type", strategy="linear", folds=2)
    for name in made.found.comparison.strategies:
        found = interval_of(made.found.comparison, name, "accuracy")
        assert 0 <= found.low <= found.value <= found.high <= 1
