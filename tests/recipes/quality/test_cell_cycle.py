"""Cell-cycle scores rank cells as scanpy's do, know both names of a gene, and are not made of too few genes."""

import anndata
import numpy as np
import pandas as pd
import scanpy

from pertura.recipes.quality.cell_cycle import G2M_GENES, S_GENES, cycle_weights
from quality_screens import PANEL, logs_of, screen


def test_scores_go_with_those_of_scanpy():
    cells = screen()
    logs = logs_of(cells)
    scores = logs @ cycle_weights(PANEL, logs[cells.is_control].mean(axis=0)).weights
    adata = anndata.AnnData(logs, var=pd.DataFrame(index=list(PANEL)))
    for column, (name, genes) in enumerate((("s", S_GENES), ("g", G2M_GENES))):
        scanpy.tl.score_genes(adata, [gene for gene in genes if gene in PANEL], score_name=name)
        assert np.corrcoef(scores[:, column], adata.obs[name])[0, 1] > 0.9


def test_lists_have_their_published_sizes_and_share_no_gene():
    assert (len(set(S_GENES)), len(set(G2M_GENES))) == (43, 54)
    assert not set(S_GENES) & set(G2M_GENES)


def test_earlier_names_count():
    mean = np.arange(len(PANEL), dtype=float)
    renamed = tuple("MLF1IP" if gene == "CENPU" else gene for gene in PANEL)
    assert renamed != PANEL
    np.testing.assert_array_equal(cycle_weights(renamed, mean).weights, cycle_weights(PANEL, mean).weights)


def test_a_few_genes_of_a_list_make_no_score():
    few = cycle_weights([*S_GENES[:9], *G2M_GENES, *PANEL[60:]], np.ones(9 + 54 + 180))
    assert few.weights is None
    assert "9 of 43 (S) and 54 of 54" in few.missing


def test_the_order_of_the_genes_plays_no_role():
    rng = np.random.default_rng(0)
    mean, order = rng.random(len(PANEL)), rng.permutation(len(PANEL))
    turned = cycle_weights([PANEL[i] for i in order], mean[order]).weights
    np.testing.assert_allclose(turned, cycle_weights(PANEL, mean).weights[order])
