"""The figures of an annotation, each drawn once for page and files."""

from dataclasses import dataclass, field

import numpy as np

from pertura.annotation.scores import reliability, risk_coverage
from pertura.recipes.annotating.columns import PREFIX
from pertura.recipes.annotating.projecting import projected, shown_rows
from pertura.recipes.annotating.querying import Labelled
from pertura.recipes.annotating.running import Compared, Drawn
from pertura.recipes.annotating.tables import class_order, pooled_confusion
from pertura.recipes.annotating.wish import Wish
from pertura.report.cell_map import ByClass, ByMark, ByNumber, cell_map
from pertura.report.confusion import confusion_chart
from pertura.report.picture import Picture
from pertura.report.trust_curves import TrustCurve, trust_chart

NAMES = {"frozen": "frozen_embedding_umap.png", "lora": "lora_embedding_umap.png"}
CONFUSION, TRUST, QUERY = "best_strategy_confusion_matrix.png", "reliability_and_risk.png", "query_umap.png"
MOST_CURVES = 6


@dataclass(frozen=True, eq=False)
class Figures:
    """File name -> picture, in the order of the page."""

    confusion: Picture
    trust: Picture
    maps: dict[str, Picture] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Picture]:
        """All of them by file name."""
        return {CONFUSION: self.confusion, TRUST: self.trust, **self.maps}


def figures_of(found: Compared, labelled: Labelled | None) -> Figures:
    """Return all figures. A map of the query is among them where there is one."""
    counts = pooled_confusion(found, found.best)
    order = class_order(counts)
    names = [found.reference.classes[place] for place in order]
    title = f"{found.best}, test cells of all folds"
    confusion = confusion_chart(counts[np.ix_(order, order)], names, title=title)
    maps = {NAMES.get(one.name, f"{one.name}_embedding_umap.png"): _map(found, one) for one in found.drawn}
    if labelled is not None:
        maps[QUERY] = query_map(labelled, found.reference.classes, found.wish)
    return Figures(confusion, _trust(found), maps)


def _map(found: Compared, drawn: Drawn) -> Picture:
    reference, wish = found.reference, found.wish
    rows = shown_rows(reference.view.ids, wish.seed)
    places, what = projected(drawn.vectors[rows], wish.projection, wish.seed)
    predicted, sure = _out_of_fold(found)
    panels = (
        ByClass("observed", reference.codes[rows]),
        ByClass(f"predicted out of fold by {found.best}", predicted[rows]),
        ByNumber("probability of the label", sure[rows]),
        ByMark("held out", drawn.held[rows], "test cells of the first fold", "train and valid cells"),
    )
    some = "" if len(rows) == len(reference.codes) else f" {len(rows):,} of {len(reference.codes):,} cells are drawn."
    first = what[0].upper() + what[1:]
    caption = f"{first}.{some} Labels and probabilities come from folds whose test part a cell was in."
    return cell_map(places, panels, reference.classes, title=drawn.title, caption=caption)


def _out_of_fold(found: Compared) -> "tuple[np.ndarray, np.ndarray]":
    """Label and probability of each cell in the fold that tested it, in the first repeat; -1 and 0 where none did."""
    predicted = np.full(len(found.reference.codes), -1, dtype=np.int64)
    sure = np.zeros(len(predicted))
    for one in found.best_outcomes:
        if one.fold.repeat == 0:
            predicted[one.fold.test], sure[one.fold.test] = one.calls.first, one.calls.confidence
    return predicted, sure


def query_map(labelled: Labelled, classes: tuple[str, ...], wish: Wish) -> Picture:
    """Return the map of a query: labels, probability, majority vote, unknown cells."""
    columns = labelled.columns.iloc[labelled.drawn]
    place = {name: code for code, name in enumerate(classes)}
    places, what = projected(labelled.vectors, wish.projection, wish.seed)

    def codes(name: str) -> "np.ndarray":
        return np.asarray([place.get(str(one), -1) for one in columns[f"{PREFIX}{name}"]], dtype=np.int64)

    panels = (
        ByClass("label (unknown cells pale)", codes("label")),
        ByClass("majority vote of the cluster", codes("majority_label")),
        ByNumber("probability of the label", columns[f"{PREFIX}probability"].to_numpy(dtype=np.float64)),
        ByMark("unknown", columns[f"{PREFIX}unknown"].to_numpy(dtype=bool), "unknown", "of a known type"),
    )
    total = len(labelled.columns)
    some = "" if len(columns) == total else f" {len(columns):,} of {total:,} cells are drawn."
    return cell_map(places, panels, classes, title="The query", caption=f"{what[0].upper()}{what[1:]}.{some}")


def _trust(found: Compared) -> Picture:
    curves = []
    codes = found.reference.codes
    for name in found.comparison.strategies[:MOST_CURVES]:
        outcomes = found.comparison.of(name)
        sure = np.concatenate([one.calls.confidence for one in outcomes])
        right = np.concatenate([one.calls.first == codes[one.fold.test] for one in outcomes])
        bins, curve = reliability(sure, right), risk_coverage(sure, right)
        step = max(1, len(curve.coverage) // 300)
        curves.append(
            TrustCurve(name, bins.cells, bins.confidence, bins.accuracy, curve.coverage[::step], curve.risk[::step])
        )
    caption = (
        "Left: cells in ten bins of probability; on the diagonal a probability is the share that is right, and larger "
        "dots hold more cells. Right: share of wrong labels when the least sure cells are left out."
    )
    return trust_chart(curves, title="Can the probabilities be trusted?", caption=caption)
