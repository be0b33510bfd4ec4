"""`pertura import 10x` as its user meets it."""

import json

import pytest

from tenx_folders import library, outs, write_guides


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_guides(tmp_path / "guides.csv")
    return outs(library(), tmp_path / "run" / "outs", "triple")


def test_from_a_folder_to_a_screen_that_inspect_reads(folder, command):
    done = command("import", "10x", folder, "--guides", "guides.csv", "--mode", "interference", "--context", "K562")
    assert (done.code, done.err) == (0, "")
    assert "40 of 40 are kept (100.0%): 16 control, 24 with one gene perturbed, 0 with two" in done.out
    assert "wrote screen.h5ad; look at it with `pertura inspect screen.h5ad`" in done.out
    seen = command("inspect", "screen.h5ad")
    assert seen.code == 0
    assert "interference" in seen.out
    again = command("import", "10x", folder, "--guides", "guides.csv")
    assert again.code == 2
    assert "--force replaces it" in again.err


def test_json_is_the_account_in_the_file(folder, command):
    done = command("import", "10x", folder, "--guides", "guides.csv", "--json", "-o", "a.h5ad")
    account = json.loads(done.out)
    assert account["cells"] == 40
    assert account["conditions"] == {"BAK1": 8, "KLF1": 16, "control": 16}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere", "--guides", "guides.csv"), 4, "nowhere: no such folder"),
        (("run/outs", "--guides", "none.csv"), 4, "none.csv: no such file"),
        (("run/outs", "--guides", "guides.csv", "--mode", "magic"), 2, "--mode magic: one of activation"),
        (("run/outs", "--guides", "guides.csv", "-o", "a.csv"), 2, "ends in .h5ad"),
        (("run/outs", "--guides", "guides.csv", "--control", "NT"), 2, "no guide is directed at 'NT'"),
        (("run/outs", "--guides", "run/outs/crispr_analysis/protospacer_calls_per_cell.csv"), 2, "--gene-column"),
    ],
)
def test_what_goes_wrong_has_its_code_and_leaves_nothing(arguments, code, words, folder, command):
    done = command("import", "10x", *arguments)
    assert done.code == code
    assert words in done.err
    assert not list(folder.parents[1].glob("*.h5ad"))
    assert not list(folder.parents[1].glob(".partial*"))
