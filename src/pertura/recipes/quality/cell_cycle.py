"""How far a cell is in S and in G2 or M: two lists of genes against genes of about the same expression.

The lists are those of Tirosh et al. 2016; three of their symbols have been renamed since, and either name counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.seeds import shuffled

_S = (
    "MCM5 PCNA TYMS FEN1 MCM2 MCM4 RRM1 UNG GINS2 MCM6 CDCA7 DTL PRIM1 UHRF1 CENPU HELLS RFC2 RPA2 NASP RAD51AP1 GMNN "
    "WDR76 SLBP CCNE2 UBR7 POLD3 MSH2 ATAD2 RAD51 RRM2 CDC45 CDC6 EXO1 TIPIN DSCC1 BLM CASP8AP2 USP1 CLSPN POLA1 "
    "CHAF1B BRIP1 E2F8"
)
_G2M = (
    "HMGB2 CDK1 NUSAP1 UBE2C BIRC5 TPX2 TOP2A NDC80 CKS2 NUF2 CKS1B MKI67 TMPO CENPF TACC3 PIMREG SMC4 CCNB2 CKAP2L "
    "CKAP2 AURKB BUB1 KIF11 ANP32E TUBB4B GTSE1 KIF20B HJURP CDCA3 JPT1 CDC20 TTK CDC25C KIF2C RANGAP1 NCAPD2 DLGAP5 "
    "CDCA2 CDCA8 ECT2 KIF23 HMMR AURKA PSRC1 ANLN LBR CKAP5 CENPE CTCF NEK2 G2E3 GAS2L3 CBX5 CENPA"
)
S_GENES, G2M_GENES = tuple(_S.split()), tuple(_G2M.split())
EARLIER = {"CENPU": "MLF1IP", "PIMREG": "FAM64A", "JPT1": "HN1"}
FEWEST = 10
"""Below this many measured genes of a list its mean says little of the cycle."""
BINS, PEERS = 25, 50


@dataclass(frozen=True, eq=False)
class CycleWeights:
    """What each gene counts in the two scores; `missing` says why there are none."""

    weights: Float[np.ndarray, "genes 2"] | None
    measured: tuple[int, int]

    @property
    def missing(self) -> str:
        """Why there are no scores; empty where there are."""
        if self.weights is not None:
            return ""
        of_s, of_g2m = self.measured
        return (
            f"cell-cycle scores need {FEWEST} measured genes of each list; here are {of_s} of {len(S_GENES)} (S) and "
            f"{of_g2m} of {len(G2M_GENES)} (G2 and M)"
        )


def cycle_weights(genes: Sequence[str], mean: Float[np.ndarray, " genes"]) -> CycleWeights:
    """Return weights whose product with a cell's logarithms gives its S and its G2M score.

    A score is the mean of the list minus the mean of its peers: for each gene of the list up to 50 others, drawn by
    name from the same of 25 bins of genes ranked by `mean`.
    """
    place = {gene: i for i, gene in enumerate(genes)}
    lists = [_places(place, names) for names in (S_GENES, G2M_GENES)]
    sizes = (len(lists[0]), len(lists[1]))
    if min(sizes) < FEWEST:
        return CycleWeights(None, sizes)
    ranks = np.argsort(np.argsort(np.round(mean, 9), kind="stable"), kind="stable")
    bins = ranks * BINS // max(len(genes), 1)
    weights = np.zeros((len(genes), 2))
    for column, mine in enumerate(lists):
        weights[mine, column] = 1 / len(mine)
        peers = _peers(genes, bins, mine)
        weights[peers, column] -= 1 / max(len(peers), 1)
    return CycleWeights(weights, sizes)


def _places(place: dict[str, int], names: Sequence[str]) -> Int[np.ndarray, " listed"]:
    found = [place.get(name, place.get(EARLIER.get(name, ""), -1)) for name in names]
    return np.asarray([one for one in found if one >= 0], dtype=np.int64)


def _peers(
    genes: Sequence[str], bins: Int[np.ndarray, " genes"], mine: Int[np.ndarray, " listed"]
) -> Int[np.ndarray, " peers"]:
    chosen: set[int] = set()
    for one in np.unique(bins[mine]):
        pool = np.setdiff1d(np.flatnonzero(bins == one), mine)
        order = shuffled([genes[i] for i in pool], 0, "cell cycle")
        chosen |= set(pool[order[:PEERS]].tolist())
    return np.asarray(sorted(chosen), dtype=np.int64)
