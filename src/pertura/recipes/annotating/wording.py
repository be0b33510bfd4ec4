"""What an annotation comes to, in sentences."""

import numpy as np

from pertura.annotation.comparison import Difference
from pertura.recipes.annotating.running import Compared
from pertura.recipes.annotating.tables import differences

METRIC = "macro_f1"


def headline(found: Compared) -> str:
    """Return the answer: whether anything beats the linear model on these cells."""
    networks = [one for one in found.comparison.strategies if one.startswith("scgpt")]
    if found.linear is None or not networks:
        return _plain(found)
    gains = {one.strategy: one for one in differences(found, METRIC)}
    chosen = max(networks, key=lambda one: _valid(found, one))
    gain = gains[chosen]
    told = f"{chosen} against {found.linear}: macro F1 {_signed(gain)}"
    if gain.folds < 2:
        return f"Not to be said from one division: {told}"
    answers = {
        "better": "Yes, the pretrained network is worth it here",
        "worse": "No, the linear model is better here",
        "not told apart": "No gain over the linear model can be shown here",
    }
    return f"{answers[gain.verdict]}: {told}"


def _plain(found: Compared) -> str:
    mean = found.comparison.mean
    return (
        f"{found.best} gives {mean(found.best, 'accuracy'):.0%} of unseen cells the label they have "
        f"(macro F1 {mean(found.best, METRIC):.2f})"
    )


def _valid(found: Compared, name: str) -> float:
    score = found.comparison.mean(name, "valid_macro_f1")
    return -np.inf if np.isnan(score) else score


def _signed(gain: Difference) -> str:
    if gain.folds < 2:
        return f"{gain.mean:+.3f}"
    return f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def sentences(found: Compared) -> list[str]:
    """Return one sentence for each strategy against the linear model."""
    if found.linear is None:
        return ["No linear strategy was asked for, so nothing says what a network has to beat."]
    said = []
    for one in differences(found, METRIC):
        words = {
            "better": "beats",
            "worse": "is beaten by",
            "not told apart": "is not told apart from",
        }[one.verdict]
        if one.folds < 2:
            words = "has no interval against"
        said.append(f"{one.strategy} {words} {one.against}: macro F1 {_signed(one)}.")
    return said


def checks(found: Compared) -> tuple[tuple[str, str], ...]:
    """Return what was found about the data before anything was computed."""
    reference, base = found.reference, found.base
    sizes = np.bincount(reference.codes, minlength=len(reference.classes))
    facts = [
        ("data", f"{reference.source.name}, {reference.source.place}"),
        ("cells", f"{len(reference.codes):,} labelled of {len(reference.source):,}"),
        ("genes", f"{len(reference.genes):,}"),
        ("classes", f"{len(reference.classes)}, of {int(sizes.min()):,} to {int(sizes.max()):,} cells"),
        ("scale", "; ".join(reference.logged.notes)),
    ]
    if base is not None and reference.overlap is not None:
        overlap = reference.overlap
        renamed = f", {overlap.renamed:,} of them by another name" if overlap.renamed else ""
        facts += [
            ("checkpoint", f"{base.place} (sha256 {base.digest[:16]})"),
            ("num_genes_matched", f"{overlap.matched:,} of {overlap.genes:,}{renamed}"),
        ]
        if overlap.unknown:
            more = f" and {len(overlap.unknown) - 8:,} more" if len(overlap.unknown) > 8 else ""
            facts.append(("genes without a token", ", ".join(overlap.unknown[:8]) + more))
    if reference.group_names:
        used = len(np.unique(reference.groups)) if reference.groups is not None else 0
        facts.append(("groups", f"{used} in obs[{found.wish.group!r}]; none is on two sides of a fold"))
    return tuple(facts)
