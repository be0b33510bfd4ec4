"""A foreign prediction file judged under the presets of this package, and what that leaves on disk."""

from dataclasses import replace
from pathlib import Path

from pertura.comparison.compare import comparison_table
from pertura.core.atomic import write_bytes, write_text
from pertura.data.anndata_io import open_cells
from pertura.evaluation.files import aggregate_table, results_table, write_scores
from pertura.evaluation.tested import tests_for
from pertura.recipes.foreign.asked import DEFAULT, Asked
from pertura.recipes.foreign.files import Files, Reading, check_name, open_pair
from pertura.recipes.foreign.judging import Judgement, judged, metrics_of
from pertura.recipes.foreign.rank_tests import write_tests
from pertura.recipes.narration import Narrator, Silent


def evaluate_files(
    files: Files,
    reading: Reading,
    out: Path,
    *,
    asked: Asked = DEFAULT,
    narrator: Narrator | None = None,
) -> Judgement:
    """Return the scores of a prediction file beside no-change and the leave-one-out mean, and write all scores.

    With train cells every baseline is fitted on them and judged too. Files of our own bring split and observed cells
    with them. Observed controls are cut in two where the file does not say how. A reference gives way to a file of our
    own that holds the model of that name.
    """
    metrics = metrics_of(asked)
    check_name(files.name)
    told = narrator or Silent()
    told.stage("reading", 0, 3)
    pair = open_pair(files, reading, asked.seed)
    train = None if files.train is None else open_cells(files.train, **reading.flags)
    made = judged([pair], train, asked, metrics, told)
    told.note("writing")
    write_judgement(made, out, asked)
    return made


def write_judgement(made: Judgement, out: Path, asked: Asked = DEFAULT) -> None:
    """Write the scores of every model, those of the prediction at the top too, its rank tests, and the comparison."""
    for one in made.comparison.scores:
        write_scores(one, out / "models" / one.model / "scores")
    scores = made.scores
    write_text(out / "results.csv", results_table(scores).to_csv(index=False))
    write_text(out / "agg_results.csv", aggregate_table(scores).to_csv(index=False))
    write_bytes(out / "scores.json", (out / "models" / scores.model / "scores" / "scores.json").read_bytes())
    write_text(out / "comparison.csv", comparison_table(made.comparison).to_csv(index=False))
    options = replace(tests_for(made.cells), memory=asked.memory // 2, threads=asked.threads)
    write_tests(made, out, options)
