"""The scale is recognised from the numbers: base and target sum they were made with, whole transcriptome or panel."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from h5ad_files import gears, transcriptome, written
from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import as_expression
from pertura.data.anndata_io import cells_from_anndata, open_cells
from pertura.data.scale import Measured, library_sizes, measure, sample

PANEL = 30


def logs(counts: np.ndarray, library: np.ndarray, target: float, base: float) -> np.ndarray:
    return np.log1p(counts / library[:, None] * target) / np.log(base)


def measured(
    values: np.ndarray,
    obs: dict[str, np.ndarray] | None = None,
    *,
    counts: np.ndarray | None = None,
    log1p: dict[str, object] | None = None,
    whole: bool | None = None,
) -> Measured:
    frame = pd.DataFrame(obs or {}, index=[f"cell{i}" for i in range(len(values))])
    layer = None if counts is None else as_expression(sp.csr_matrix(counts))
    taken = sample(as_expression(values), layer, frame, None)
    return measure(taken, bool((values == np.rint(values)).all()), log1p, whole)


@pytest.fixture
def whole() -> np.ndarray:
    return transcriptome(80)


@pytest.mark.parametrize("target", [1e4, 1e6, 2345.0])
@pytest.mark.parametrize("base", [np.e, 2.0, 10.0])
@pytest.mark.parametrize("with_counts", [True, False])
def test_base_and_target_sum_are_those_it_was_made_with(whole, target, base, with_counts):
    panel, library = whole[:, :PANEL], whole.sum(axis=1)
    found = measured(
        logs(panel, library, target, base), {"total_counts": library}, counts=panel if with_counts else None
    )
    assert found.scale.kind == "lognormalised"
    assert found.scale.log_base == pytest.approx(base)
    assert found.scale.target_sum == pytest.approx(target, rel=1e-6)
    assert found.scale.whole_transcriptome is True
    assert found.library_column == "total_counts"


def test_single_precision_is_enough(whole):
    panel, library = whole[:, :PANEL], whole.sum(axis=1)
    values = logs(panel, library, 1e4, np.e).astype(np.float32)
    found = measured(values, {"n_counts": library}, counts=panel)
    assert (found.scale.log_base, found.scale.target_sum) == (pytest.approx(np.e), 1e4)


def test_library_sizes_from_before_genes_were_left_out_give_the_target_sum_about(whole):
    kept, panel = whole[:, 20:].sum(axis=1), whole[:, 20 : 20 + PANEL]
    panel[:, :5] = [1, 2, 3, 1, 4]
    lost = kept * (1.0 + 0.6 * np.linspace(0.0, 1.0, len(kept)) ** 3)
    found = measured(logs(panel, kept, 1e4, np.e), {"ncounts": lost}, counts=panel)
    assert found.scale.target_sum == 1e4
    assert "about 10,000" in found.scale.evidence


def test_without_library_sizes_the_target_sum_is_not_guessed(whole):
    found = measured(logs(whole[:, :PANEL], whole.sum(axis=1), 1e4, np.e))
    assert found.scale.log_base == pytest.approx(np.e)
    assert found.scale.target_sum is None


def test_a_panel_normalised_by_its_own_sum_is_flagged(whole):
    panel = whole[:, :PANEL]
    found = measured(logs(panel, panel.sum(axis=1), 1e4, np.e))
    assert found.scale.whole_transcriptome is False
    assert found.scale.target_sum == 1e4
    assert "normalised by their own sum" in found.warnings[0]


def test_equal_sums_are_fine_where_the_library_sizes_say_that_all_genes_are_here(whole):
    library = whole.sum(axis=1)
    found = measured(logs(whole, library, 1e4, np.e), {"total_counts": library})
    assert found.scale.whole_transcriptome is True
    assert not found.warnings


def test_what_the_user_says_about_the_panel_counts(whole):
    panel = whole[:, :PANEL]
    values = logs(panel, panel.sum(axis=1), 1e4, np.e)
    assert measured(values, whole=True).scale.whole_transcriptome is True


def test_values_that_are_no_multiples_take_the_base_from_uns_or_leave_it_open(whole):
    values = np.random.default_rng(0).gamma(2.0, size=(80, PANEL))
    assert measured(values).scale.log_base is None
    assert measured(values, log1p={}).scale.log_base == pytest.approx(np.e)
    assert measured(values, log1p={"base": 2.0}).scale.log_base == 2.0


def test_counts_take_the_column_that_holds_more_than_the_panel(whole):
    panel, library = whole[:, :PANEL], whole.sum(axis=1)
    found = measured(panel, {"nCount_RNA": panel.sum(axis=1), "ncounts": library})
    assert found.scale.kind == "counts"
    assert found.library_column == "ncounts"
    assert found.scale.whole_transcriptome is True


def test_counts_with_two_different_library_sizes_choose_none_and_say_so(whole):
    library = whole.sum(axis=1)
    found = measured(whole[:, :PANEL], {"n_counts": library, "ncounts": library + 1})
    assert found.library_column == ""
    assert "--library-size-column" in found.warnings[0]


def test_the_sum_over_the_panel_is_no_library_size(whole):
    panel = whole[:, :PANEL]
    found = measured(panel, {"n_counts": panel.sum(axis=1)})
    assert found.library_column == ""
    assert found.scale.whole_transcriptome is None
    assert "cannot be normalised" in found.warnings[0]
    assert measured(panel, {"n_counts": panel.sum(axis=1)}, whole=True).library_column == "n_counts"


def test_the_order_of_cells_changes_nothing():
    adata = gears()
    order = np.random.default_rng(1).permutation(adata.n_obs)
    assert cells_from_anndata(adata[order].copy()).scale == cells_from_anndata(adata).scale


def test_a_scale_is_stated_with_its_evidence():
    scale = cells_from_anndata(gears()).scale
    assert isinstance(scale, Scale)
    assert "verified with obs['ncounts']" in scale.evidence


def test_a_bad_library_size_is_named():
    obs = pd.DataFrame({"ncounts": [1.0, np.nan]}, index=["a", "b"])
    with pytest.raises(BadDataError, match="first: b"):
        library_sizes(obs, "ncounts")
    with pytest.raises(UsageError, match="did you mean 'ncounts'"):
        cells_from_anndata(gears(), library_size_column="ncount")


def scaled(adata: anndata.AnnData) -> anndata.AnnData:
    values = adata.X.toarray()
    adata.X = ((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)).astype(np.float32)
    return adata


@pytest.mark.parametrize(
    ("layers", "raw", "way_out"),
    [
        ((), False, "this file keeps none"),
        (("counts",), False, "adata.X = adata.layers['counts'].copy()"),
        (("logs", "counts"), True, "adata.X = adata.layers['counts'].copy()"),
        (("logs",), False, "adata.X = adata.layers['logs'].copy()"),
        ((), True, "adata = adata.raw.to_adata()"),
    ],
)
def test_scaled_values_are_refused_with_the_way_out_that_the_file_has(layers, raw, way_out):
    adata = gears(scale="counts")
    if raw:
        adata.raw = adata.copy()
    for name in layers:
        adata.layers[name] = adata.X.copy()
    with pytest.raises(BadDataError, match="scaled values") as caught:
        cells_from_anndata(scaled(adata))
    assert way_out in caught.value.remedy


@pytest.mark.slow
def test_scaled_values_of_a_file_are_refused_with_its_way_out(tmp_path):
    adata = gears(scale="counts")
    adata.layers["counts"] = adata.X.copy()
    with pytest.raises(BadDataError, match="scaled values") as caught:
        open_cells(written(scaled(adata), tmp_path))
    assert "adata.X = adata.layers['counts'].copy()" in caught.value.remedy


def test_the_way_out_is_one():
    adata = gears(scale="counts")
    adata.layers["counts"] = adata.X.copy()
    scaled(adata).X = adata.layers["counts"].copy()
    assert cells_from_anndata(adata).scale.kind == "counts"
