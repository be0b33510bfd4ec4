"""Squared distances between mean profiles, freed of what the noise of sampling cells adds to them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Profiles = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]
Columns = Int[np.ndarray, " conditions"]


@dataclass(frozen=True, eq=False)
class Noisy:
    """Profiles of conditions and, of each, the squared distance to the truth that sampling its cells accounts for."""

    profile: Profiles
    noise: Values

    def at(self, rows: Int[np.ndarray, " rows"]) -> "Noisy":
        """Return these conditions, in this order; a row may repeat."""
        return Noisy(self.profile[rows], self.noise[rows])


def log_profile(counts: Float[np.ndarray, "conditions genes"], total: float) -> Profiles:
    """Return log1p of summed counts scaled to `total`; zeros where a condition has no count at all.

    The sum over cells is taken before the logarithm, so that a prediction without spread between cells is not penalised
    for having none.
    """
    depth = counts.sum(axis=1)
    scale = np.divide(total, depth, out=np.zeros_like(depth), where=depth > 0)
    return np.log1p(counts * scale[:, None])


def jackknife_noise(
    blocks: Iterable[Float[np.ndarray, "_ genes"]], counts: Float[np.ndarray, " genes"], cells: int, total: float
) -> float:
    """Return the jackknife estimate of the squared error of a `log_profile`, summed over genes.

    `blocks` are the counts of all `cells` cells of one condition, `counts` their sum. With b_i the profile without cell
    i, the estimate is (n - 1) / n times the sum of squared deviations of b_i from their mean. 0 for fewer than two
    cells or without counts: nothing is subtracted where nothing can be estimated.
    """
    depth = float(counts.sum())
    if cells < 2 or depth <= 0:
        return 0.0
    whole = np.log1p(total * counts / depth)
    first, second = np.zeros(len(counts)), np.zeros(len(counts))
    for block in blocks:
        left = depth - block.sum(axis=1)
        scale = np.divide(total, left, out=np.zeros_like(left), where=left > 0)
        # deviations from the whole profile, not from 0: their squares are small and keep their digits
        without = np.log1p((counts - block) * scale[:, None]) - whole
        first += without.sum(axis=0)
        second += np.einsum("cg,cg->g", without, without)
    return max((cells - 1) / cells * float((second - first * first / cells).sum()), 0.0)


def corrected_error(first: Noisy, second: Noisy, own: Columns) -> Values:
    """Return the squared distance of two profiles less the noise of both, as a mean over genes.

    `own[i]` is the column that row i leaves out, its perturbed gene; -1 leaves none out. May be negative: an unbiased
    estimate of zero lies on both sides of it. NaN where no gene is left.
    """
    difference = first.profile - second.profile
    squares = np.einsum("cg,cg->c", difference, difference) - first.noise - second.noise
    known = np.flatnonzero(own >= 0)
    squares[known] -= np.square(difference[known, own[known]])
    genes = (difference.shape[1] - (own >= 0)).astype(np.float64)
    return np.divide(squares, genes, out=np.full(len(own), np.nan), where=genes > 0)


def allowed_noise(predicted: Noisy, observed: Noisy, own: Columns) -> Values:
    """Return how much noise a prediction may claim: never more than the observed side has, nor than it shows.

    The spread of the predicted profiles over conditions bounds the sum of all claims (per gene, the squared deviations
    from the mean over the conditions that do not perturb it); where the claims exceed it, all are scaled down alike.
    A prediction whose cells scatter but whose means do not could otherwise subtract noise that its error never held.
    """
    claims = np.minimum(predicted.noise, observed.noise)
    genes = predicted.profile.shape[1] - (own >= 0)
    weights = np.divide(1.0, genes, out=np.zeros(len(own)), where=genes > 0)
    claimed = float(claims @ weights)
    if claimed <= 0:
        return claims
    return claims * min(1.0, _spread(predicted.profile, own, weights) / claimed)


def _spread(profile: Profiles, own: Columns, weights: Values) -> float:
    # a condition's own gene counts nowhere in its error, so it must not buy a claim either
    deviations = profile - profile.mean(axis=0)
    kept = _kept(profile.shape, own)
    shares = np.where(kept, weights[:, None], 0.0)
    first, second = (shares * deviations).sum(axis=0), (shares * np.square(deviations)).sum(axis=0)
    mass = shares.sum(axis=0)
    usable = (kept.sum(axis=0) >= 2) & (mass > 0)
    return float(np.maximum(second[usable] - np.square(first[usable]) / mass[usable], 0.0).sum())


def _kept(shape: tuple[int, ...], own: Columns) -> Bool[np.ndarray, "conditions genes"]:
    kept = np.ones(shape, dtype=bool)
    known = np.flatnonzero(own >= 0)
    kept[known, own[known]] = False
    return kept
