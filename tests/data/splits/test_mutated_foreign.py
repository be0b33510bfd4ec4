"""Split files that were tampered with end in a split or in one typed error."""

import json
import time
from collections import Counter

import pytest
from split_screens import CONTEXTS, cells_of

from pertura.core.errors import PerturaError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.seeds import generator
from pertura.core.split import Outline
from pertura.data.splits.audit import audit
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_files import split_from_file

CELLS = cells_of([Condition(Perturbation.of(gene), context) for context in CONTEXTS for gene in "ABCD"])
TOML = (
    '[datasets]\nr = "/data"\n[training]\nr = "train"\n[zeroshot]\n"r.y" = "val"\n[fewshot]\n[fewshot."r.x"]\n'
    'val = ["A"]\ntest = ["B", "C"]\n'
)
JSON = json.dumps(
    {
        "split_type": "s",
        "seed": 1,
        "train": ["A+ctrl", "ctrl"],
        "val": ["B"],
        "test": ["C+ctrl"],
        "strata": {"x": ["C"]},
    },
    indent=1,
)
PIECES = (
    *('"', "[", "]", "{", "}", "=", ",", "\n", "null", "3", "1e999", '"B"', "test", "val", "fewshot", "r.x", "ctrl"),
    *("+", "@", ".", "\0", "'"),
)
SECONDS = 10


def _tampered(text, rng):
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(text) + 1))
        piece = PIECES[int(rng.integers(len(PIECES)))]
        length = int(rng.integers(6))
        text = text[:at] + (piece if rng.random() < 0.7 else "") + text[at + length :]
    return text


def _restructured(text, rng):
    """Change a value of the JSON and keep it JSON."""
    content = json.loads(text)
    name = sorted(content)[int(rng.integers(len(content)))]
    values = (
        None,
        3,
        "A",
        [],
        {},
        ["A", "A+ctrl"],
        [3],
        [["A"]],
        ["A@x"],
        [""],
        {"x": ["A"]},
        {"x": 1},
        True,
        ["A" * 9999],
    )
    content[name] = values[int(rng.integers(len(values)))]
    return json.dumps(content)


def _restructured_toml(rng):
    """Change a value or a key of the TOML and keep it TOML."""
    values = (
        "3",
        '"val"',
        "[]",
        '["A", "A", "non-targeting"]',
        "[3]",
        "{}",
        '["B@x"]',
        '[["A"]]',
        "1979-05-27",
        "inf",
        "true",
    )
    at = [i for i, mark in enumerate(TOML) if mark == "="]
    start = at[int(rng.integers(len(at)))]
    end = TOML.index("\n", start)
    text = f"{TOML[:start]}= {values[int(rng.integers(len(values)))]}{TOML[end:]}"
    return text.replace("r.x", ("r.x", "rx", "r.", "q.x", ".x", "r.y")[int(rng.integers(6))])


def _tamper(count, seed, tmp_path):
    outcomes: Counter[str] = Counter()
    outline = Outline.of(CELLS)
    for i in range(count):
        rng = generator(seed, "split", i)
        text = (_restructured(JSON, rng), _restructured_toml(rng), _tampered(JSON, rng), _tampered(TOML, rng))[i % 4]
        path = tmp_path / "split.txt"
        path.write_text(text)
        started = time.perf_counter()
        try:
            audit(split_from_file(path, outline, Rules(TEST_WINS)).split, CELLS)
            outcomes["read"] += 1
        except PerturaError as error:
            parsed = "cannot be read" not in str(error)
            outcomes[f"{type(error).__name__}, {'parsed' if parsed else 'not parsed'}"] += 1
            outcomes["endless words"] += len(str(error)) > 40_000
        assert time.perf_counter() - started < SECONDS
    return outcomes


def test_tampered_split_files_are_read_or_refused(tmp_path):
    outcomes = _tamper(160, 0, tmp_path)
    assert outcomes["read"] > 20
    assert outcomes["BadDataError, parsed"] > 20
    assert not outcomes["endless words"]


@pytest.mark.slow
def test_many_tampered_split_files_are_read_or_refused(tmp_path):
    outcomes = _tamper(1200, 1, tmp_path)
    print(f"\n1,200 tampered split files: {dict(outcomes)}")
    assert outcomes["BadDataError, not parsed"] < 600
    assert not outcomes["endless words"]
