"""What a run does with screens of other shapes: several contexts, batches, unknown genes, no effect at all."""

import anndata
import pytest

from pertura.core.errors import BadDataError, UsageError
from pertura.data.anndata_io import open_screen
from pertura.data.manifest import write_manifest
from pertura.recipes.run import run
from pertura.recipes.sources import cells_of, split_of
from small_runs import lines_file, pairs_file, small_recipe

pytestmark = pytest.mark.slow  # whole runs

HELD_OUT = {"rule": "held-out-context", "models": ("no-change", "perturbation-mean")}


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return lines_file(tmp_path_factory.mktemp("lines"))


@pytest.mark.parametrize("controls", ["seen", pytest.param("unseen", marks=pytest.mark.slow)])
def test_a_context_is_held_out_with_its_controls_seen_or_not(controls, lines, tmp_path):
    options = {"context": "line-b", "controls": controls}
    (screen,) = run(small_recipe(lines, options=options, **HELD_OUT), tmp_path)
    assert {one.context for one in screen.observed.conditions} == {"line-b"}
    assert screen.split.unseen == (frozenset({"line-b"}) if controls == "unseen" else frozenset())
    seen = screen.taught["perturbation-mean"].cells_seen
    here, there = (len(screen.split.controls[name].model) for name in ("line-b", "line-a"))
    perturbed = sum(len(screen.cells.rows_of(one)) for one in screen.split.train | screen.split.valid)
    assert seen == perturbed + there + (here if controls == "seen" else 0)
    assert screen.comparison.of("perturbation-mean").summary("pearson_delta", "all").value > 0


@pytest.mark.slow
def test_batches_are_matched_or_said(lines, tmp_path):
    """Without controls of one batch, predicted cells of that batch come from others, and it is said."""
    cells = anndata.read_h5ad(lines)
    kept = ~((cells.obs["condition"] == "ctrl") & (cells.obs["batch"] == "batch1"))
    cells[kept.to_numpy()].copy().write_h5ad(tmp_path / "unmatched.h5ad")
    recipe = small_recipe(tmp_path / "unmatched.h5ad", options={"context": "line-b"}, **HELD_OUT)
    (screen,) = run(recipe, tmp_path / "run")
    told = " | ".join(screen.warnings)
    assert "all models: " in told
    assert "predicted cells come from controls of another batch" in told
    assert "in batches without control cells" in told


def test_a_manifest_is_read_like_its_file(lines, tmp_path):
    write_manifest(tmp_path / "lines.toml", lines, open_screen(lines).reading)
    whole, described = cells_of(str(lines)), cells_of(str(tmp_path / "lines.toml"))
    assert described.present == whole.present
    assert described.batches == whole.batches == ("batch0", "batch1", "batch2")
    assert split_of(small_recipe(tmp_path / "lines.toml"), described) == split_of(small_recipe(lines), whole)


def test_genes_that_nothing_knows_are_counted_and_named_and_the_rest_is_judged(tmp_path):
    data = pairs_file(tmp_path, targets=8, targets_outside_panel=0.4)
    (screen,) = run(small_recipe(data), tmp_path / "run")
    (told,) = [text for text in screen.warnings if "are not judged" in text]
    present = [one for one in sorted(screen.split.test) if len(screen.cells.rows_of(one))]
    left_out = [one for one in present if one not in screen.observed.conditions]
    assert told.startswith(f"{len(left_out)} of {len(present)} test conditions are not judged ({left_out[0].label}")
    known = {gene for one in screen.split.train for gene in one.genes} | set(screen.cells.genes)
    unknown = {gene for one in left_out for gene in one.genes} - known
    assert unknown
    assert told.endswith(": " + ", ".join(sorted(unknown)))
    assert {gene for one in screen.observed.conditions for gene in one.genes} <= known


@pytest.mark.slow
def test_a_screen_without_effects_is_called_one(tmp_path):
    flat = {"effect_sd": 0.0, "target_effect": 0.0, "interaction_sd": 0.0, "null_fraction": 1.0}
    (screen,) = run(small_recipe(pairs_file(tmp_path, **flat)), tmp_path / "run")
    assert not screen.observed.detectable.any()
    assert "none has a detectable effect" in screen.comparison.sentence
    assert " ties with " in screen.comparison.sentence


@pytest.mark.slow
def test_nothing_left_to_judge_says_why(tmp_path):
    data = pairs_file(tmp_path, targets_outside_panel=1.0)
    with pytest.raises(BadDataError, match=r"no test condition is left.*unknown to panel, vocabulary and prior: G00"):
        run(small_recipe(data), tmp_path / "run")


def test_one_context_cannot_be_held_out(pairs, tmp_path):
    with pytest.raises(UsageError, match="holding a context out needs perturbations in another one"):
        run(small_recipe(pairs, options={"context": "line-a"}, **HELD_OUT), tmp_path / "run")
