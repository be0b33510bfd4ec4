"""Laws of answers about somebody's controls, for baselines, networks and published checkpoints alike."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import pertura
from pertura.core.errors import BadDataError, MissingError, ModeError, UnknownGeneError, UsageError
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.table import load_model
from pertura.prediction.training_facts import read_training_facts
from pertura.recipes.foreign.in_python import PerturaWarning

REFERENCE = Path(__file__).parents[2] / "reference/scgpt"
MODELS = ("additive", "linear", "scgpt")
pytestmark = pytest.mark.filterwarnings("ignore::pertura.recipes.foreign.in_python.PerturaWarning")


@pytest.fixture(scope="module")
def controls(cells) -> anndata.AnnData:
    """Twelve of the controls, without a label."""
    rows = np.flatnonzero(cells.is_control)[:12]
    names = pd.Index([f"mine-{i}" for i in range(len(rows))])
    return anndata.AnnData(
        cells.dense(rows).astype(np.float32),
        obs=pd.DataFrame(index=names),
        var=pd.DataFrame(index=list(cells.genes)),
    )


@pytest.fixture(scope="module")
def gene(cells, split) -> str:
    """A gene that train perturbs alone."""
    return next(one.genes[0] for one in sorted(split.train) if one.perturbation.is_single)


def asked(run, name, controls, perturb, **how):
    return pertura.predict(run / "models" / name, controls, perturb, **how)


@pytest.mark.parametrize("name", MODELS)
def test_row_i_belongs_to_row_i_of_the_controls(run, controls, gene, name):
    order = np.random.default_rng(0).permutation(controls.n_obs)
    straight = asked(run, name, controls, gene)
    turned = asked(run, name, controls[order].copy(), gene)
    assert straight.cells().shape == controls.shape
    np.testing.assert_allclose(turned.cells(), straight.cells()[order], rtol=1e-4, atol=1e-5)
    written = straight.to_anndata()
    assert list(written.obs_names) == list(controls.obs_names)
    np.testing.assert_array_equal(written.X, straight.cells())


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_the_genes_changes_nothing(run, controls, gene, name):
    turned = controls[:, np.random.default_rng(1).permutation(controls.n_vars)].copy()
    first, second = asked(run, name, controls, gene), asked(run, name, turned, gene)
    assert first.genes == second.genes
    np.testing.assert_allclose(first.cells(), second.cells(), rtol=1e-4, atol=1e-5)


def test_a_baseline_answers_with_its_own_profile(run, controls, cells, gene):
    made = asked(run, "additive", controls, gene)
    answer = made.made.first
    condition = answer.conditions[gene]
    profile = (
        load_model(run / "models/additive/model").predict(answer.controls, [condition], seed=0).cells[condition][0]
    )
    np.testing.assert_allclose(made.cells().mean(axis=0), np.maximum(profile, 0), atol=1e-5)


def test_several_seeds_are_averaged_and_their_spread_is_shown(run, controls, gene):
    both = asked(run, "scgpt", controls, gene)
    alone = [load_model(run / "models/scgpt" / place) for place in ("model", "seeds/2/model")]
    answer = both.made.first
    each = [one.predict(answer.controls, [answer.conditions[gene]], seed=0).cells for one in alone]
    rows = np.asarray([np.maximum(one[answer.conditions[gene]], 0) for one in each])
    np.testing.assert_allclose(both.cells(), rows.mean(axis=0), atol=1e-5)
    table = both.table().set_index("gene").loc[list(both.genes)]
    np.testing.assert_allclose(table.sd_over_members, rows.mean(axis=1).std(axis=0, ddof=1), atol=1e-5)


def test_the_table_ranks_by_change_and_sets_the_linear_baseline_beside(run, controls, gene):
    table = asked(run, "scgpt", controls, gene).table()
    size = table.change.abs().to_numpy()
    assert (np.diff(size) <= 1e-12).all()
    assert table.loc[table.is_target, "gene"].tolist() == [gene]
    np.testing.assert_allclose(table.predicted_mean - table.control_mean, table.change, atol=1e-9)
    np.testing.assert_allclose(table.change / np.log(2), table.log2_fold_change, atol=1e-9)
    linear = asked(run, "linear", controls, gene).table().set_index("gene").loc[table.gene]
    np.testing.assert_allclose(table.linear_baseline_mean, linear.predicted_mean, atol=1e-5)
    assert set(table.linear_baseline) == {"linear"}


@pytest.mark.parametrize("name", ["additive", "linear"])
def test_genes_that_are_not_measured_change_no_other_answer_of_a_baseline(run, controls, gene, name):
    fewer = controls[:, 5:].copy()
    whole, part = asked(run, name, controls, gene), asked(run, name, fewer, gene)
    assert part.genes == whole.genes[5:]
    np.testing.assert_allclose(part.cells(), whole.cells()[:, 5:], atol=1e-6)


def test_genes_that_are_not_measured_are_masked_in_a_network_not_zero(run, controls, gene):
    """Zeros in their place are another question, and give another answer."""
    fewer, silent = controls[:, 5:].copy(), controls.copy()
    silent.X[:, :5] = 0.0
    masked, zeros = asked(run, "scgpt", fewer, gene), asked(run, "scgpt", silent, gene)
    assert masked.genes == zeros.genes[5:]
    assert np.abs(masked.cells() - zeros.cells()[:, 5:]).max() > 1e-6
    model = load_model(run / "models/scgpt/model")._trained
    from pertura.models.scgpt.answers import Asking
    from pertura.models.scgpt.panel import TokenPanel
    from pertura.training.options import TrainingOptions

    asking = Asking(model.network, TokenPanel(masked.genes, model.panel.vocab), TrainingOptions())
    by_hand = asking.cells(masked.made.first.conditions[gene], np.asarray(fewer.X, dtype=np.float64))
    first = masked.made.first.members[0][masked.made.first.conditions[gene]]
    np.testing.assert_allclose(first, by_hand, atol=1e-6)
    assert "5 are left out" in str(masked)


def test_missing_genes_can_be_refused_and_half_of_them_always_are(run, controls, gene):
    with pytest.raises(BadDataError, match="lack 5 of the 40"):
        asked(run, "linear", controls[:, 5:].copy(), gene, missing="refuse")
    with pytest.raises(BadDataError, match="lack 30 of the 40"):
        asked(run, "linear", controls[:, 30:].copy(), gene)


def test_genes_in_parts_are_the_network_on_each_part_with_the_perturbed_gene(run, controls, gene):
    whole = asked(run, "scgpt", controls, gene)
    one_part = asked(run, "scgpt", controls, gene, genes_at_once=400)
    parts = asked(run, "scgpt", controls, gene, genes_at_once=15)
    np.testing.assert_allclose(one_part.cells(), whole.cells(), atol=1e-6)
    assert parts.cells().shape == whole.cells().shape
    turned = controls[:, ::-1].copy()
    np.testing.assert_allclose(asked(run, "scgpt", turned, gene, genes_at_once=15).cells(), parts.cells(), atol=1e-5)
    assert parts.memory < whole.memory


def test_an_array_and_one_sample_are_answered_as_the_file(run, controls, gene):
    values, genes = np.asarray(controls.X), list(controls.var_names)
    whole = asked(run, "scgpt", controls, gene)
    array = asked(run, "scgpt", values, gene, genes=genes)
    np.testing.assert_allclose(array.cells(), whole.cells(), atol=1e-6)
    one = asked(run, "scgpt", values[3], gene, genes=genes)
    np.testing.assert_allclose(one.cells(), whole.cells()[3:4], atol=1e-5)
    with pytest.raises(UsageError, match="genes="):
        asked(run, "scgpt", values, gene)


def test_a_file_gives_what_its_anndata_gives(run, controls, gene, tmp_path):
    controls.write_h5ad(tmp_path / "mine.h5ad")
    first = asked(run, "linear", controls, gene)
    np.testing.assert_array_equal(asked(run, "linear", tmp_path / "mine.h5ad", gene).cells(), first.cells())


def test_of_a_labelled_screen_the_controls_are_taken(run, cells, screen_file, gene):
    made = asked(run, "linear", screen_file, gene, most=7)
    assert len(made.cells()) == 7
    assert any("are controls" in note for note in made.made.notes)
    assert set(made.to_anndata().obs.control) <= set(map(str, cells.ids[cells.is_control]))


def test_what_cannot_be_asked_is_refused(run, controls, gene):
    with pytest.raises(UnknownGeneError, match="NOGENE"):
        asked(run, "linear", controls, "NOGENE")
    with pytest.raises(ModeError):
        asked(run, "linear", controls, gene, mode="knockout")
    with pytest.raises(UsageError, match="names no gene"):
        asked(run, "linear", controls, "ctrl")
    with pytest.raises(UsageError, match="did you mean 'genes_at_once'"):
        asked(run, "linear", controls, gene, gene_at_once=3)
    with pytest.raises(MissingError):
        pertura.predict(run / "models/nothing", controls, gene)


def test_more_than_two_genes_are_answered_with_a_warning(run, controls, cells, split):
    genes = sorted({gene for one in split.train for gene in one.genes})[:3]
    with pytest.warns(PerturaWarning, match="3 genes at once were never evaluated"):
        made = asked(run, "scgpt", controls, "+".join(genes))
    assert made.check().level == "doubtful"
    assert made.cells().shape == controls.shape


def test_a_published_folder_is_asked_as_the_network_itself_answers(controls):
    checkpoint = load_foreign(REFERENCE / "generator_pad2")
    genes = sorted(checkpoint.vocab.genes)[:30]
    values = np.log1p(np.random.default_rng(0).poisson(1.0, (5, 30))).astype(np.float64)
    made = pertura.predict(REFERENCE / "generator_pad2", values, f"{genes[4]}+{genes[9]}", genes=genes)
    flags = torch.zeros(5, 30, dtype=torch.long)
    flags[:, [4, 9]] = 1
    ids = torch.tensor([checkpoint.vocab.ids_of(genes)])
    with torch.no_grad():
        wanted = checkpoint.network(ids, torch.from_numpy(values).float(), flags).expression.numpy()
    np.testing.assert_allclose(made.cells(), np.maximum(wanted, 0), atol=1e-5)
    levels = {one.topic: one.level for one in made.check().findings}
    assert levels["controls"] == levels["seen"] == levels["mode"] == "not known"
    with pytest.raises(UsageError, match="without perturbation flags"):
        pertura.predict(REFERENCE / "pretrained", values, genes[4], genes=genes)


def test_two_models_answer_side_by_side(run, controls, gene, tmp_path):
    paths = [run / "models/scgpt", run / "models/linear"]
    both = pertura.predict(paths, controls, [gene])
    alone = [asked(run, name, controls, gene).cells() for name in ("scgpt", "linear")]
    both.write(tmp_path / "both.h5ad")
    stored = anndata.read_h5ad(tmp_path / "both.h5ad")
    np.testing.assert_array_equal(stored.X, alone[0])
    np.testing.assert_array_equal(stored.layers["linear"], alone[1])
    assert set(both.table().model) == {"scgpt", "linear"}
    record = json.loads(stored.uns["pertura_predict"])
    assert [one["name"] for one in record["models"]] == ["scgpt", "linear"]


def test_equal_questions_give_equal_bytes(run, controls, gene, tmp_path):
    for name in ("a.h5ad", "b.h5ad"):
        asked(run, "scgpt", controls, [gene]).write(tmp_path / name)
    for name in ("a.svg", "b.svg"):
        asked(run, "scgpt", controls, [gene]).plot(tmp_path / name)
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_training_facts_are_made_once_and_kept_with_the_run(run, controls, cells, split, gene):
    asked(run, "linear", controls, gene)
    facts = read_training_facts(run)
    assert facts.train == frozenset(one for one in split.train if len(cells.rows_of(one)))
    rows = split.model_controls(cells, cells.contexts[0])
    np.testing.assert_allclose(facts.controls[0].mean, cells.dense(rows).mean(axis=0), rtol=1e-6)


def test_the_domain_check_tells_one_line_from_another(run, controls, gene):
    other = controls.copy()
    rng = np.random.default_rng(0)
    other.X = other.X[:, rng.permutation(other.n_vars)]
    mine, theirs = asked(run, "linear", controls, gene), asked(run, "linear", other, gene)
    level = {one.topic: one.level for one in mine.check().findings}
    assert level["controls"] == "as trained"
    assert level["genes"] == "as trained"
    assert {one.topic: one.level for one in theirs.check().findings}["controls"] == "doubtful"
    assert theirs.check().level == "doubtful"


def test_controls_of_several_contexts_must_be_chosen_from(run, controls, gene):
    mixed = controls.copy()
    mixed.obs["cell_line"] = ["A", "B"] * 6
    mixed.obs["condition"] = "ctrl"
    with pytest.raises(UsageError, match="--context"):
        asked(run, "linear", mixed, gene)
    assert len(asked(run, "linear", mixed, gene, context="B").cells()) == 6


def test_a_model_in_memory_is_asked_too(run, controls, gene):
    model = load_model(run / "models/linear/model")
    made = pertura.predict(model, controls, gene, context="elsewhere")
    assert made.check().level != "as trained"
    assert made.models == ("linear",)
    twice = pertura.predict([model, model, run / "models/linear"], controls, gene)
    assert len(set(twice.models)) == 3
