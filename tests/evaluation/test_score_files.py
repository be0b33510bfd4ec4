import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from judged_screens import MADE, noisy, observed_of, populated
from safetensors.numpy import load_file, save_file

from pertura.core.errors import BadDataError, MissingError
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.files import aggregate_table, read_scores, results_table, write_scores

FILES = ("results.csv", "agg_results.csv", "scores.json", "bootstrap.safetensors")


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param]()


def judged(screen, seed=0):
    observed = observed_of(screen, seed=seed)
    means = noisy(observed, 0.3)
    means[0] = observed.model_controls[0]
    return evaluate(populated(observed, means, fallbacks={observed.conditions[1]: "not seen, said so"}), observed)


@pytest.fixture(scope="module")
def scores(screen):
    return judged(screen)


@pytest.fixture(scope="module")
def written(scores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    write_scores(scores, folder)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(screen, scores, tmp_path):
    for name, one in (("first", scores), ("again", judged(screen)), ("other", judged(screen, seed=1))):
        write_scores(one, tmp_path / name)
    assert set(contents(tmp_path / "first")) == set(FILES)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")
    first, other = contents(tmp_path / "first"), contents(tmp_path / "other")
    assert first["bootstrap.safetensors"] != other["bootstrap.safetensors"]


def test_scores_come_back_as_they_were_written(scores, tmp_path):
    write_scores(scores, tmp_path)
    again = read_scores(tmp_path)
    for field in fields(scores):
        before, after = getattr(scores, field.name), getattr(again, field.name)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype, field.name
            np.testing.assert_array_equal(before, after, err_msg=field.name)
        elif field.name == "details":
            assert list(before) == list(after)
            for name in before:
                np.testing.assert_array_equal(before[name], after[name])
        else:
            assert before == after, field.name
    for metric in scores.metrics:
        for subset in ("all", "detectable", *scores.strata):
            assert repr(scores.summary(metric, subset)) == repr(again.summary(metric, subset))
    write_scores(again, tmp_path / "again")
    assert contents(tmp_path / "again") == {name: (tmp_path / name).read_bytes() for name in FILES}


def test_the_table_has_a_row_for_each_condition_and_no_number_for_what_is_undefined(scores, tmp_path):
    write_scores(scores, tmp_path)
    table = pd.read_csv(tmp_path / "results.csv", keep_default_na=False)
    assert table["perturbation"].tolist() == [one.perturbation.label for one in scores.conditions]
    assert table["context"].tolist() == [one.context for one in scores.conditions]
    assert table["fallback"].tolist()[:3] == ["", "not seen, said so", ""]
    assert table["pearson_delta"][0] == ""
    for row, metric in enumerate(scores.metrics):
        np.testing.assert_allclose(pd.to_numeric(table[metric]), scores.values[row], rtol=1e-12)
    np.testing.assert_array_equal(pd.to_numeric(table["effect_p"]), scores.effect_p)
    for side in ("observed", "predicted"):
        np.testing.assert_array_equal(table[f"significant_{side}"], scores.details[f"significant_{side}"])


def test_the_aggregates_count_what_is_defined_and_name_what_stands_beside(scores):
    table = aggregate_table(scores).set_index("statistic")
    for row, metric in enumerate(scores.metrics):
        values = scores.values[row]
        defined = values[np.isfinite(values)]
        column = table[metric]
        assert (column["count"], column["null_count"]) == (len(defined), len(values) - len(defined))
        assert column["mean"] == pytest.approx(defined.mean() if len(defined) else np.nan, nan_ok=True)
        if len(defined) > 1:
            assert column["std"] == pytest.approx(defined.std(ddof=1))
        if len(defined):
            assert (column["min"], column["max"]) == (defined.min(), defined.max())
        for tail, subset in (("", "all"), ("_detectable", "detectable")):
            summary = scores.summary(metric, subset)
            told = {"score": summary.value, "ci_low": summary.low, "ci_high": summary.high}
            told |= {**scores.beside(metric, subset), "scaled": scores.scaled(metric, subset)}
            for name, value in told.items():
                assert column[f"{name}{tail}"] == pytest.approx(value, nan_ok=True, rel=0)


def test_a_condition_of_several_strata_is_listed_under_each(scores):
    one = scores.conditions[0]
    twice = replace(scores, strata={"early": frozenset({one}), "late": frozenset({one})})
    assert results_table(twice)["stratum"].tolist()[:2] == ["early|late", ""]


def test_a_folder_without_scores_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no scores in"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "another"},
        {"version": 3},
        {"conditions": 3},
        {"conditions": []},
        {"metrics": ["mse"]},
        {"conditions": [{"targets": [["A", "psychic"]], "context": ""}]},
        {"fallbacks": {"99": "nobody"}},
        {"fallbacks": {"x": "nobody"}},
        {"strata": []},
        {"strata": {"a": [999]}},
        {"detectable": None},
        {"seed": "x"},
        {"model": ...},
    ],
    ids=str,
)
def test_altered_facts_are_bad_data(written, change, tmp_path):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    facts = json.loads((tmp_path / "scores.json").read_text()) | change
    (tmp_path / "scores.json").write_text(
        json.dumps({name: value for name, value in facts.items() if value is not ...})
    )
    with pytest.raises(BadDataError):
        read_scores(tmp_path)


@pytest.mark.parametrize("name", ["scores.json", "bootstrap.safetensors"])
@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"\x89HDF\xff", b"[" * 100_000],
    ids=["empty", "cut", "list", "bytes", "endless"],
)
def test_damaged_files_are_bad_data(written, name, text, tmp_path):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(text)
    with pytest.raises(BadDataError):
        read_scores(tmp_path)


def test_a_table_that_does_not_fit_the_conditions_is_bad_data(scores, tmp_path):
    write_scores(scores, tmp_path)
    path = tmp_path / "bootstrap.safetensors"
    sound = load_file(path)
    for name in ("values", "floor", "ceiling", "permuted", "bootstrap", "weights", "effect_p"):
        values = sound[name]
        for changed in (values[..., :-1], values[None], values[0], np.zeros(values.shape, dtype=np.int32)):
            save_file({**sound, name: np.ascontiguousarray(changed)}, path)
            with pytest.raises(BadDataError, match=r" is \(|scores for"):
                read_scores(tmp_path)
    save_file(sound, path)
    assert read_scores(tmp_path).metrics == scores.metrics


def test_an_unknown_metric_is_bad_data(scores, tmp_path):
    write_scores(scores, tmp_path)
    text = (tmp_path / "scores.json").read_text()
    (tmp_path / "scores.json").write_text(text.replace('"pearson_delta"', '"pearson_dleta"'))
    with pytest.raises(BadDataError, match="no metric 'pearson_dleta'"):
        read_scores(tmp_path)


def test_a_lost_table_is_bad_data(written, tmp_path):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    (tmp_path / "bootstrap.safetensors").unlink()
    with pytest.raises(BadDataError):
        read_scores(tmp_path)
