"""The model card of an annotator, and the short report of the published tutorial."""

import csv
import io

from pertura.annotation.trust import UNKNOWN
from pertura.recipes.annotating.running import Compared
from pertura.recipes.annotating.tables import strategy_frame
from pertura.recipes.annotating.wording import checks, headline, sentences
from pertura.report.wording import printable

REPORT_KEYS = (
    "profile",
    "subset_cells",
    "checkpoint",
    "best_strategy",
    "best_accuracy",
    "best_macro_f1",
    "best_silhouette",
    "num_genes_matched",
)


def report_values(found: Compared) -> dict[str, object]:
    """Return what the published report holds, under its keys."""
    frame = strategy_frame(found.comparison).set_index("strategy").loc[found.best]
    overlap = found.reference.overlap
    return {
        "profile": found.wish.profile or "own",
        "subset_cells": len(found.reference.codes),
        "checkpoint": "" if found.base is None else found.base.place,
        "best_strategy": found.best,
        "best_accuracy": float(frame["accuracy"]),
        "best_macro_f1": float(frame["macro_f1"]),
        "best_silhouette": float(frame["silhouette"]),
        "num_genes_matched": "" if overlap is None else overlap.matched,
    }


def report_csv(found: Compared) -> str:
    """Return the report as a CSV of one row; what is not defined is empty."""
    values = {key: "" if one != one else one for key, one in report_values(found).items()}
    sink = io.StringIO()
    writer = csv.DictWriter(sink, REPORT_KEYS, lineterminator="\n")
    writer.writeheader()
    writer.writerow(values)
    return sink.getvalue()


def report_markdown(found: Compared) -> str:
    """Return the short report: the keys of the published one, the strategies, and how to read them."""
    lines = ["# Cell-type annotation", "", f"{headline(found)}.", ""]
    lines += [f"- {key}: {_plain(one)}" for key, one in report_values(found).items()]
    lines += ["", "## Strategies", "", _markdown(found), "", "## Against the linear model", ""]
    lines += [f"- {one}" for one in sentences(found)] or ["- there is one strategy alone"]
    lines += ["", "## Data", "", *(f"- {name}: {printable(words)}" for name, words in checks(found))]
    if found.warnings:
        lines += ["", "## Warnings", "", *(f"- {printable(one)}" for one in found.warnings)]
    note = "A strategy is chosen on valid cells; the scores above are of test cells, which decided nothing."
    return "\n".join([*lines, "", note, ""])


def card_markdown(found: Compared) -> str:
    """Return the model card of the annotator, from recorded facts alone."""
    made, facts = found.annotator, found.annotator.facts
    rule = made.trusted.rule
    mean = found.comparison.mean
    lines = [
        f"# Annotator of {printable(str(facts['data']))}",
        "",
        "## What it does",
        "",
        f"Gives a cell one of {len(made.classes)} labels, or `{UNKNOWN}`; strategy {made.strategy.name}.",
        "",
        "## What it learnt from",
        "",
        *(f"- {name}: {printable(words)}" for name, words in checks(found)),
        f"- label: obs[{found.wish.label!r}]",
        f"- seed: {facts['seed']}, made {facts['made']}",
        f"- versions: {', '.join(f'{name} {one}' for name, one in facts['versions'].items())}",
        "",
        "| class | cells |",
        "| --- | ---: |",
        *(f"| {printable(name).replace('|', '/')} | {size:,} |" for name, size in facts["class_cells"].items()),
        "",
        "## How good it is",
        "",
        f"On test cells of {len(found.comparison.folds)} divisions: accuracy {mean(found.best, 'accuracy'):.3f}, "
        f"macro F1 {mean(found.best, 'macro_f1'):.3f}, calibration error {mean(found.best, 'calibration_error'):.3f}.",
        "",
        *(f"- {one}" for one in sentences(found)),
        "",
        "## When it says unknown",
        "",
        f"Where a cell is farther from the reference than {made.trusted.farthest:.4g} (the {rule.quantile:.0%} "
        f"quantile of valid cells), or its label is less likely than {rule.probability:g}. The raw label is kept.",
    ]
    if found.unseen:
        lines += ["", "| class left out | found by distance (AUROC) | by probability |", "| --- | ---: | ---: |"]
        lines += [f"| {one.label} | {one.by_distance:.2f} | {one.by_probability:.2f} |" for one in found.unseen]
    lines += ["", "## What to watch", ""]
    lines += [f"- {printable(one)}" for one in found.warnings] or ["- nothing was found that would need a warning"]
    lines += ["- it knows these classes alone, and cells of the tissue and the protocol it learnt from", ""]
    return "\n".join(lines)


def _markdown(found: Compared) -> str:
    frame = strategy_frame(found.comparison)
    heading = f"| {' | '.join(frame.columns)} |"
    rule = f"| {' | '.join('---' for _ in frame.columns)} |"
    rows = [f"| {' | '.join(_plain(one) for one in row)} |" for row in frame.itertuples(index=False, name=None)]
    return "\n".join([heading, rule, *rows])


def _plain(value: object) -> str:
    if isinstance(value, float):
        return "not defined" if value != value else f"{value:.4g}"
    return printable(str(value)) or "none"
