"""Split files that were tampered with end in a split or in one typed error."""

import time
from collections import Counter

import pytest
from split_screens import CONTEXTS, STATE_SPLIT, WORKBENCH_SPLIT, cells_of

from mutations.text import json_changed, pieces_changed, toml_changed
from pertura.core.errors import PerturaError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.seeds import generator
from pertura.core.split import Outline
from pertura.data.splits.audit import audit
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_files import split_from_file

CELLS = cells_of([Condition(Perturbation.of(gene), context) for context in CONTEXTS for gene in "ABCD"])
SECONDS = 10
CHANGES = (
    (json_changed, WORKBENCH_SPLIT),
    (toml_changed, STATE_SPLIT),
    (pieces_changed, WORKBENCH_SPLIT),
    (pieces_changed, STATE_SPLIT),
)


def _tamper(count, seed, tmp_path):
    outcomes: Counter[str] = Counter()
    outline = Outline.of(CELLS)
    for i in range(count):
        rng = generator(seed, "split", i)
        change, sound = CHANGES[i % 4]
        text = change(sound, rng)
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


@pytest.mark.proof
def test_many_tampered_split_files_are_read_or_refused(tmp_path):
    outcomes = _tamper(1200, 1, tmp_path)
    print(f"\n1,200 tampered split files: {dict(outcomes)}")
    assert outcomes["BadDataError, not parsed"] < 600
    assert not outcomes["endless words"]
