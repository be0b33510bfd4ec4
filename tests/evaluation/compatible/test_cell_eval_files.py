"""Files and statistics in the form of cell-eval, whatever the numbers."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.evaluation.compatible.aggregate import STATISTICS, described
from pertura.evaluation.compatible.cell_eval_files import TEST_COLUMNS, aggregate_text, results_text, write_files
from pertura.evaluation.compatible.profile import Column, Judged
from pertura.metrics.differential import DifferentialExpression

entries = st.lists(
    st.one_of(st.none(), st.just(float("nan")), st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=1, max_size=12
)


def column(values):
    absent = np.asarray([one is None for one in values])
    return Column(np.asarray([np.nan if one is None else one for one in values], dtype=np.float64), absent)


@given(values=entries)
@settings(max_examples=60, deadline=None)
def test_statistics_are_those_of_polars(values):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"one": values}, schema={"one": polars.Float64}).describe()
    expected = dict(zip(frame["statistic"], frame["one"], strict=True))
    found = {name: row["one"] for name, row in described({"one": column(values)}).items()}
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert (found[name] is None) == (value is None), name
        if value is not None:
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-9, err_msg=name)


def test_nothing_and_not_a_number_differ_in_the_files():
    judged = Judged(("a", 'b,"c"'), {"one": column([None, np.nan]), "two": column([1.0, 0.5])})
    assert results_text(judged) == 'perturbation,one,two\na,,1.0\n"b,""c""",NaN,0.5\n'
    rows = list(csv.reader(io.StringIO(aggregate_text(judged))))
    assert [row[0] for row in rows[1:]] == list(STATISTICS)
    assert [row[1] for row in rows[1:]] == ["1.0", "1.0", "NaN", "", "NaN", "NaN", "NaN", "NaN", "NaN"]


def differential(labels, genes):
    rng = np.random.default_rng(0)
    table = rng.random((labels, genes))
    change = np.where(table < 0.2, -np.inf, rng.normal(size=table.shape))
    means = rng.random(table.shape).astype(np.float32)
    counts = np.arange(3, 3 + labels)
    return DifferentialExpression(means, means[0], change, table, table, 1e5 * table, table, counts, 9)


def test_tables_of_tests_read_back_as_they_were(tmp_path):
    labels, genes = ("a", "b,c"), ("g1", "g2", 'g"3')
    tests = differential(2, 3)
    judged = Judged(labels, {"one": column([1.0, 2.0])}, {"observed": tests, "predicted": tests})
    paths = write_files(judged, genes, tmp_path)
    assert [one.name for one in paths] == ["results.csv", "agg_results.csv", "real_de.csv", "pred_de.csv"]
    assert (tmp_path / "real_de.csv").read_text().splitlines()[0] == ",".join(TEST_COLUMNS)
    frame = pd.read_csv(tmp_path / "pred_de.csv", float_precision="round_trip")
    assert frame["target"].tolist() == ["a"] * 3 + ["b,c"] * 3
    assert frame["feature"].tolist() == list(genes) * 2
    assert frame["target_membership"].tolist() == [3] * 3 + [4] * 3
    for name, values in (("log2_fold_change", tests.log2_fold_change), ("p_value", tests.p_value)):
        np.testing.assert_array_equal(frame[name], values.reshape(-1))
    np.testing.assert_array_equal(frame["target_mean"].astype(np.float32), tests.target_mean.reshape(-1))


def test_genes_left_out_of_the_tests_have_no_row(tmp_path):
    tests = differential(2, 3)
    tests.p_value[1, 0] = np.nan
    write_files(Judged(("a", "b"), {}, {"observed": tests}), ("x", "y", "z"), tmp_path)
    frame = pd.read_csv(tmp_path / "real_de.csv")
    assert list(zip(frame["target"], frame["feature"])) == [("a", "x"), ("a", "y"), ("a", "z"), ("b", "y"), ("b", "z")]
