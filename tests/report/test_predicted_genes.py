"""The figure of predicted changes over single cells."""

import numpy as np
import pytest

from pertura.report.predicted_genes import (
    CONTROL,
    OBSERVED,
    PredictedGenes,
    predicted_genes_capacity,
    predicted_genes_sheet,
    predicted_genes_table,
)


def panel(kind=OBSERVED, models=2, genes=20, note=""):
    rng = np.random.default_rng(0)
    names = tuple(f"GENE{i}" for i in range(genes))
    cells = rng.normal(size=(30, genes))
    predicted = tuple((f"model {k}", cells.mean(axis=0) + k) for k in range(models))
    return PredictedGenes("A+B", names, kind, cells, predicted, ("GENE3",), note)


def drawn(*panels, width=183):
    return predicted_genes_sheet(panels, unit="ln", width_mm=width).rendered("svg").decode()


def test_every_gene_model_and_kind_of_cell_is_named():
    text = drawn(panel(), panel(note="a stand-in answers: model 1"))
    for word in ("GENE0", "GENE19", "model 0", "model 1", OBSERVED, "mean of the controls", "a stand-in", "A+B"):
        assert word in text


@pytest.mark.parametrize("models", [1, 2, 4])
@pytest.mark.parametrize("kind", [OBSERVED, CONTROL])
def test_equal_panels_give_equal_bytes(kind, models):
    one = drawn(panel(kind, models), width=89)
    assert one == drawn(panel(kind, models), width=89)


def test_the_numbers_beside_it_are_those_that_are_drawn():
    one = panel()
    table = predicted_genes_table([one])
    assert len(table.rows) == 40
    first = table.rows[0].cells if hasattr(table.rows[0], "cells") else table.rows[0].values
    assert first[:5] == ("A+B", "GENE0", False, "model 0", OBSERVED)
    assert first[5] == pytest.approx(one.cells[:, 0].mean())
    assert list(first[6:]) == pytest.approx(np.percentile(one.cells[:, 0], (5, 25, 50, 75, 95)).tolist())


def test_a_single_cell_and_a_single_gene_can_be_drawn():
    flat = PredictedGenes("A", ("G",), CONTROL, np.zeros((1, 1)), (("m", np.zeros(1)),))
    assert "n = 1 control cell" in drawn(flat, width=89)


def test_a_page_has_room_for_a_few():
    assert predicted_genes_capacity(89) == 3
    assert predicted_genes_capacity(183) == 6
