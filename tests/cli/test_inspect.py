"""`pertura inspect` prints how a screen is read and what it holds, and writes it down."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from h5ad_files import GENES, WRITERS, gears, perturbench, screen, state, written
from pertura.cli.inspect import inspect
from pertura.core.errors import PerturaError, UsageError
from pertura.data.anndata_io import open_cells
from pertura.data.manifest import read_manifest

SCREENFUL = 50
APP = typer.Typer()
APP.command()(inspect)


def ran(*arguments: object) -> str:
    """What the command printed; the error it raised is raised again."""
    found = CliRunner().invoke(APP, [str(one) for one in arguments], env={"COLUMNS": "200"})
    if isinstance(found.exception, PerturaError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.parametrize(
    ("make", "convention", "words"),
    [
        (gears, "GEARS / scGPT", ("3 singles, 1 pairs", "OUTSIDE", "1 of 3 targets are not in the panel")),
        (state, "State / cell-load", ("k562", "rpe1", "3 batches")),
        (perturbench, "PerturBench", ("1 pairs", "CRISPRa", "all 2 targets are in the panel")),
    ],
)
def test_it_says_what_a_screen_is(make, convention, words, tmp_path):
    output = tmp_path / "dataset.toml"
    text = ran(written(make(), tmp_path), "-o", output)
    assert f"Read as {convention}" in text
    assert "normalised to 10,000 per cell, natural logarithm" in text
    assert "control cells (under 100)" in text
    assert all(word in text for word in words)
    assert read_manifest(output).reading.convention == convention


@pytest.mark.parametrize(("convention", "make"), list(WRITERS.items())[2:], ids=list(WRITERS)[2:])
@pytest.mark.slow
def test_small_files_of_every_writer_are_inspected(convention, make, tmp_path):
    text = ran(written(make(), tmp_path), "-o", tmp_path / "dataset.toml")
    assert f"Read as {convention}, because" in text
    assert "control cells: 20" in text
    assert len(text.splitlines()) <= SCREENFUL


def test_a_screenful_is_printed_unless_all_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("pertura.cli.inspected.gene_coverage", lambda cells, priors: iter(()))
    labels = ("control", *(f"OUT{i:03d}" for i in range(40)))
    adata = screen("condition", labels, cells_per_label=18, cell_line=[f"line{i}" for i in range(18)])
    path, output = written(adata, tmp_path), tmp_path / "dataset.toml"
    short, full = ran(path, "-o", output), ran(path, "-o", output, "--full")
    assert len(short.splitlines()) <= SCREENFUL < len(full.splitlines())
    assert "line9" not in short.partition("context  ")[2]
    assert "OUT039" in full
    assert "OUT039" not in short
    assert "--full prints" in short


def test_it_tells_what_gene_names_stand_for(tmp_path):
    adata = screen("condition", ("control", "KIAA1804", "TP53"))
    adata.var_names = ["MAP3K21", "7-Sep", "DEC1", "TP53", *GENES[4:]]
    text = ran(written(adata, tmp_path), "-o", tmp_path / "dataset.toml")
    assert "KIAA1804 as MAP3K21" in text
    assert "7-Sep: genes of the panel that a spreadsheet turned into dates" in text
    assert "DEC1: genes of the panel whose name may mean several genes" in text
    assert "scGPT vocabulary: " in text
    assert "2 of 2 targets" in text


@pytest.mark.parametrize(
    ("flags", "cells"),
    [
        (("--not-genes", "exclude"), 60),
        (("--not-genes", "keep"), 80),
        (("--exclude", "dexamethasone"), 60),
        (("--not-genes", "keep", "--repeated-genes", "once"), 100),
    ],
)
def test_cells_that_are_left_out_are_a_matter_of_flags(flags, cells, tmp_path):
    adata = screen("condition", ("control", "GENE1", "GENE2", "GENE1+GENE1", "dexamethasone"))
    path, output = written(adata, tmp_path), tmp_path / "dataset.toml"
    text = ran(path, "-o", output, *flags)
    assert ("left out" in text) == (cells < 100)
    assert len(open_cells(output)) == cells


def test_the_json_says_the_same(tmp_path):
    path, output = written(gears(), tmp_path), tmp_path / "dataset.toml"
    content = json.loads(ran(path, "-o", output, "--json"))
    assert content["facts"]["cells"] == content["screen"]["cells"] == 100
    assert content["reading"]["controls"] == ["ctrl"]
    assert content["screen"]["outside"] == ["OUTSIDE"]
    assert content["genes"]["targets"]["unknown"] == ["GENE1", "GENE2", "OUTSIDE"]
    assert content["known_to"][0]["name"] == "scGPT vocabulary"
    assert content["manifest"] == str(output)


def test_flags_reach_the_reading_and_the_file(tmp_path):
    adata = screen("guide", ("NT", "NTC", "GENE1_1", "GENE1_2"), line=["a", "b"], dish=["x", "y", "z"])
    output = tmp_path / "dataset.toml"
    ran(
        *(written(adata, tmp_path), "-o", output, "--perturbation-column", "guide", "--control", "NT"),
        *("--control", "NTC", "--guide-separator", "_", "--mode", "knockout", "--context-column", "line"),
        *("--context-column", "dish", "--batch-column", "none", "--library-size-column", "ncounts"),
    )
    cells = open_cells(output)
    assert cells.contexts == ("a:x", "a:y", "a:z", "b:x", "b:y", "b:z")
    assert {one.genes for one in cells.perturbed} == {("GENE1",)}
    assert {str(mode) for mode in cells.modes} == {"knockout"}


def test_a_manifest_can_be_inspected_and_stays_as_it_is(tmp_path):
    output = tmp_path / "dataset.toml"
    ran(written(gears(), tmp_path), "-o", output)
    before = output.read_bytes()
    assert "Read as GEARS" in ran(output)
    assert output.read_bytes() == before


def test_an_unclear_screen_asks_and_writes_nothing(tmp_path):
    path = written(screen("condition", ("control", "non-targeting", "GENE1")), tmp_path)
    with pytest.raises(UsageError, match="--control"):
        ran(path, "-o", tmp_path / "dataset.toml")
    assert os.listdir(tmp_path) == [path.name]


def test_another_files_manifest_is_kept_without_force(tmp_path):
    output = tmp_path / "dataset.toml"
    first, second = written(gears(), tmp_path, "first.h5ad"), written(state(), tmp_path, "second.h5ad")
    ran(first, "-o", output)
    with pytest.raises(UsageError, match="--force"):
        ran(second, "-o", output)
    assert Path(read_manifest(output).file.path).name == "first.h5ad"
    ran(second, "-o", output, "--force")
    assert Path(read_manifest(output).file.path).name == "second.h5ad"


def test_marks_in_names_are_printed_as_they_are(tmp_path):
    adata = screen("condition", ("control", "[bold]GENE1[/bold]"))
    assert "[bold]GENE1[/bold]" in ran(written(adata, tmp_path), "-o", tmp_path / "dataset.toml", "--not-genes", "keep")
