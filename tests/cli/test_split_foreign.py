"""`pertura split --from` and `--from-column`."""

import json

import pytest

from h5ad_files import gears, written
from pertura.data.splits.files import read_split

TOML = '[training]\nm = "train"\n[fewshot."m.A172"]\nval = ["MAP2K3"]\ntest = ["MAP2K3", "CDKN1B"]\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_toml_goes_through_the_same_audit(tmp_path, command):
    (tmp_path / "s.toml").write_text(TOML)
    refused = command("split", "mcfaline-500", "--from", "s.toml")
    assert refused.code == 3
    assert "--overlap test-wins" in refused.err
    assert not (tmp_path / "split.json").exists()
    done = command("split", "mcfaline-500", "--from", "s.toml", "--overlap", "test-wins", "--seed", 3)
    assert done.code == 0
    assert "controls of A172: 50 for models, 50 to judge by" in done.out
    assert "kept in a later part alone" in done.out
    assert "no condition and no cell lies in two parts" in done.out
    made = read_split(tmp_path / "split.json")
    assert made.seed == 3
    assert made.options["file"] == "s.toml"
    assert len(made.options["sha256"]) == 64


def test_the_workbench_format_goes_out_and_comes_back(tmp_path, command):
    out = command("split", "norman-500", "--write-as", "workbench", "-o", "w.json")
    assert "this format has no control cells" in out.out
    assert json.loads((tmp_path / "w.json").read_text())["split_type"] == "gears-simulation"
    assert command("split", "norman-500", "--from", "w.json", "-o", "back.json").code == 0
    assert command("split", "norman-500", "-o", "own.json").code == 0
    back, own = read_split(tmp_path / "back.json"), read_split(tmp_path / "own.json")
    assert (back.train, back.valid, back.test, back.controls) == (own.train, own.valid, own.test, own.controls)


def test_a_column_is_read_from_the_file_itself(tmp_path, command):
    adata = gears()
    adata.obs["split2"] = ["train" if "ctrl" in one else "test" for one in adata.obs["condition"]]
    path = written(adata, tmp_path)
    done = command("split", path, "--from-column", "split2")
    assert done.code == 0
    assert [one.label for one in read_split(tmp_path / "split.json").test] == ["GENE1+GENE2@K562"]
    assert command("inspect", path).code == 0
    assert command("split", "dataset.toml", "--from-column", "split2", "-o", "b.json").code == 0
    assert (tmp_path / "b.json").read_text() == (tmp_path / "split.json").read_text()


def test_a_list_of_conditions_will_do_for_a_file(tmp_path, command):
    (tmp_path / "list.txt").write_text("A+ctrl\nB+ctrl\nA+B\n")
    (tmp_path / "w.json").write_text(json.dumps({"train": ["A+ctrl"], "val": ["B+ctrl"], "test": ["B+A"]}))
    done = command("split", "--conditions", "list.txt", "--from", "w.json")
    assert done.code == 0
    assert "test: 1 conditions" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "s.toml", "--from-column", "split1"), "give --from or --from-column, not both"),
        (("--from", "s.toml", "--rule", "folds"), "take the place of --rule"),
        (("--from", "s.toml", "--folds", 3), "take the place of --rule"),
        (("--overlap", "test-wins"), "--overlap and --dataset go with --from"),
        (("--from", "s.toml", "--overlap", "both"), "--overlap both"),
        (("--from-column", "split1"), "--from-column needs an .h5ad"),
        (("--write-as", "toml"), "--write-as toml: one of pertura, workbench"),
    ],
)
def test_an_unclear_request_is_refused(arguments, words, tmp_path, command):
    (tmp_path / "s.toml").write_text(TOML)
    done = command("split", "mcfaline-500", *arguments)
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "split.json").exists()
