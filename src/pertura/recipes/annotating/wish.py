"""What a user asks of an annotation."""

from dataclasses import dataclass, field, replace
from typing import Literal

from pertura.annotation.annotator import LEAST_SHARE
from pertura.annotation.folds import FoldPlan
from pertura.annotation.trust import UnknownRule
from pertura.annotation.tuning_options import Schedule, TuningOptions
from pertura.core.errors import UsageError

MIN_GENE_OVERLAP = 500
FOLDS = 5
REPEATS_OF_QUICK = 5


@dataclass(frozen=True)
class Subset:
    """A part of the reference, as the published tutorial takes one: cells by class, genes by variance."""

    cells: int
    genes: int


@dataclass(frozen=True)
class Wish:
    """How cells are to be annotated; None stands for what suits the data.

    `folds` of 1 is a single division into 0.70 train, 0.15 valid and 0.15 test. `label_with` names the strategy that
    labels the query; by default the best on valid. `projection` is how embeddings are drawn.
    """

    label: str
    layer: str = "X"
    query_layer: str | None = None
    gene_column: str | None = None
    group: str | None = None
    exclude: tuple[str, ...] = ()
    strategies: tuple[str, ...] | None = None
    label_with: str | None = None
    folds: int = FOLDS
    repeats: int | None = None
    min_cells: int = 2
    min_gene_overlap: int = MIN_GENE_OVERLAP
    min_query_genes: float = LEAST_SHARE
    rule: UnknownRule = field(default_factory=UnknownRule)
    clusters: str | None = None
    tuning: TuningOptions = field(default_factory=TuningOptions)
    unseen: bool = True
    projection: Literal["umap", "pca"] = "umap"
    cached: bool = True
    profile: str = ""
    subset: Subset | None = None
    seed: int = 0

    def plan(self, *, trains_networks: bool) -> FoldPlan:
        """Return how cells are divided: five repeats where fits take moments, one where networks are trained."""
        repeats = self.repeats or (1 if trains_networks or self.folds == 1 else REPEATS_OF_QUICK)
        return FoldPlan(self.folds, repeats)


PROFILES = {
    "quickstart": (Subset(8, 32), 16, 64, 1, 1),
    "full": (Subset(128, 192), 96, 32, 3, 2),
}
"""The published tutorial's two sizes: cells and genes, least gene overlap, batch, epochs of head and of adapters."""
PROFILE_RATES = (5e-3, 2e-3)
PROFILE_SEED = 42


def profiled(wish: Wish, profile: str) -> Wish:
    """Return a wish with the sizes, rates and the single division of the published tutorial.

    What the wish says otherwise than by default stays: a least overlap, folds, repeats, the smallest class.
    """
    if profile not in PROFILES:
        raise UsageError(f"--profile {profile!r}: there are {', '.join(PROFILES)}")
    subset, overlap, batch, head_epochs, lora_epochs = PROFILES[profile]
    head_rate, lora_rate = PROFILE_RATES
    tuning = replace(
        wish.tuning, head=Schedule(head_epochs, head_rate), lora=Schedule(lora_epochs, lora_rate), batch=batch
    )
    plain = Wish(wish.label)
    return replace(
        wish,
        profile=profile,
        subset=subset,
        min_gene_overlap=overlap if wish.min_gene_overlap == plain.min_gene_overlap else wish.min_gene_overlap,
        tuning=tuning,
        folds=1 if wish.folds == plain.folds else wish.folds,
        repeats=wish.repeats or 1,
        min_cells=1 if wish.min_cells == plain.min_cells else wish.min_cells,
        unseen=False,
        seed=wish.seed or PROFILE_SEED,
    )
