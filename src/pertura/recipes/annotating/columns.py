"""What is written beside each cell, under names that do not collide with anyone's own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pertura.annotation.trust import UNKNOWN, Calls
from pertura.annotation.voting import Majority

PREFIX = "pertura_"
EMBEDDING = "X_pertura"
OUT_OF_FOLD = f"{PREFIX}out_of_fold"


def cell_columns(calls: Calls, classes: Sequence[str]) -> pd.DataFrame:
    """Return the columns of some cells: the label with unknown cells marked, the raw label, and what it rests on."""
    names = np.asarray(classes, dtype=object)
    raw = names[calls.first]
    why = np.where(calls.by_distance, np.where(calls.by_probability, "both", "distance"), "probability")
    return pd.DataFrame(
        {
            f"{PREFIX}label": np.where(calls.unknown, UNKNOWN, raw),
            f"{PREFIX}raw_label": raw,
            f"{PREFIX}probability": calls.confidence.astype(np.float32),
            f"{PREFIX}margin": calls.margin.astype(np.float32),
            f"{PREFIX}second_label": names[calls.second],
            f"{PREFIX}distance": calls.distance.astype(np.float32),
            f"{PREFIX}unknown": calls.unknown,
            f"{PREFIX}unknown_by": np.where(calls.unknown, why, ""),
        }
    )


def majority_columns(found: Majority, classes: Sequence[str]) -> pd.DataFrame:
    """Return the majority vote: the cluster, its commonest raw label, and the share of its cells that have it."""
    names = np.asarray(classes, dtype=object)
    return pd.DataFrame(
        {
            f"{PREFIX}cluster": found.clusters,
            f"{PREFIX}majority_label": names[found.first],
            f"{PREFIX}majority_share": found.share.astype(np.float32),
        }
    )


def as_obs(columns: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    """Return the columns for obs: words as categories, rows under the names of the cells."""
    frame = columns.set_index(index)
    for name in frame.columns:
        if frame[name].dtype == object or name == f"{PREFIX}cluster":
            frame[name] = pd.Categorical(frame[name].astype(str))
    return frame


MEANING: tuple[tuple[str, str], ...] = (
    (f"{PREFIX}label", "the label, or unknown where the cell is too far from the reference or too unsure"),
    (f"{PREFIX}raw_label", "the label whatever the distance and the probability"),
    (f"{PREFIX}probability", "probability of the raw label, temperature-scaled on valid cells"),
    (f"{PREFIX}margin", "that probability minus the one of the second label"),
    (f"{PREFIX}second_label", "the next likely label"),
    (f"{PREFIX}distance", "mean distance to the ten nearest labelled cells in the embedding"),
    (f"{PREFIX}unknown", "whether the cell counts as of no known type"),
    (f"{PREFIX}unknown_by", "by distance, by probability, or both"),
    (f"{PREFIX}cluster", "fine Leiden cluster in the embedding, or the cluster column that was given"),
    (f"{PREFIX}majority_label", "the commonest raw label of the cluster"),
    (f"{PREFIX}majority_share", "the share of the cluster's cells with that raw label"),
    (OUT_OF_FOLD, "of the reference alone: labelled by a fold that had not learnt from the cell"),
    (f"obsm[{EMBEDDING!r}]", "the embedding that distances and clusters are taken in"),
)
