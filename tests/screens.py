"""Small screens with known effects, for tests of models, predictions and files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pertura.core import Cells, Condition, ControlPartition, Mode, Perturbation, Scale, Split
from pertura.core.expression import InMemory
from pertura.core.seeds import generator

SCALE = Scale("lognormalised", target_sum=1e4, log_base=float(np.e), evidence="made for a test")


@dataclass(frozen=True)
class Screen:
    """Cells, a split of them, and the effects they were made with."""

    cells: Cells
    split: Split
    deltas: Mapping[Condition, np.ndarray]

    @property
    def asked(self) -> tuple[Condition, ...]:
        return tuple(sorted(self.split.test))


def perturbed(text: str, context: str = "", mode: Mode = Mode.ACTIVATION) -> Condition:
    return Condition(Perturbation.parse(text, mode), context)


def measured(
    genes: Sequence[str],
    starts: Mapping[str, np.ndarray],
    deltas: Mapping[Condition, np.ndarray],
    *,
    cells: int = 20,
    noise: float = 0.3,
    batches: int = 0,
) -> Cells:
    """Cells around control profile plus delta, clipped at zero; the controls of each context come first."""
    controls = [Condition(Perturbation(), context) for context in sorted(starts)]
    conditions = tuple(controls + sorted(deltas))
    codes = np.repeat(np.arange(len(conditions)), [3 * cells] * len(controls) + [cells] * len(deltas))
    rng = generator(0, "screen")
    profiles = np.asarray([starts[one.context] + deltas.get(one, 0.0) for one in conditions])
    matrix = np.maximum(profiles[codes] + noise * rng.normal(size=(len(codes), len(genes))), 0.0)
    batch_codes = np.arange(len(codes)) % batches if batches else None
    return Cells(
        expression=InMemory(matrix.astype(np.float32)),
        genes=tuple(genes),
        ids=np.asarray([f"cell-{i:04d}" for i in range(len(codes))]),
        conditions=conditions,
        codes=codes,
        scale=SCALE,
        batches=tuple(f"batch-{i}" for i in range(batches)),
        batch_codes=batch_codes,
        name="made",
    )


def split_of(cells: Cells, test: Sequence[Condition], valid: Sequence[Condition] = (), seed: int = 0) -> Split:
    """A split whose train part is everything else, with the controls of each context in halves."""
    halves = {
        context: ControlPartition.halves([str(i) for i in cells.ids[cells.control_rows(context)]], seed, context)
        for context in cells.contexts
    }
    train = frozenset(cells.perturbed) - set(test) - set(valid)
    strata = {"pairs": frozenset(one for one in test if one.perturbation.is_pair)}
    return Split("made", train, frozenset(valid), frozenset(test), strata=strata, controls=halves, seed=seed)


def pairs_screen(*, noise: float = 0.3, batches: int = 2) -> Screen:
    """One context, singles and pairs whose effects add; two targets (KLF1, MAP2K6) are outside the panel."""
    genes = [f"G{i:02d}" for i in range(15)]
    rng = generator(1, "pairs")
    singles = [*genes[:8], "KLF1", "MAP2K6"]
    single = {name: rng.normal(scale=0.6, size=15) for name in singles}
    pairs = ["G00+G01", "G01+G02", "G02+G03", "G04+KLF1", "G06+G07", "G00+MAP2K6", "G06+KLF1"]
    deltas = {perturbed(name, "K562"): single[name] for name in singles}
    deltas |= {perturbed(name, "K562"): sum(single[gene] for gene in name.split("+")) for name in pairs}
    cells = measured(genes, {"K562": 4.0 + rng.random(15)}, deltas, noise=noise, batches=batches)
    test = [perturbed(name, "K562") for name in ("G06", "G07", "MAP2K6", *pairs[2:])]
    return Screen(cells, split_of(cells, test, valid=[perturbed("G05", "K562")]), deltas)


def contexts_screen(*, noise: float = 0.3, own: float = 0.2) -> Screen:
    """Three contexts with shared effects and, of size `own`, effects of their own; half of one context is test."""
    genes = [f"G{i:02d}" for i in range(12)]
    rng = generator(2, "contexts")
    shared = {name: rng.normal(scale=0.6, size=12) for name in [*genes[:6], "TP53"]}
    deltas = {}
    starts = {}
    for context in ("A549", "HepG2", "RPE1"):
        starts[context] = 4.0 + rng.random(12)
        for name, delta in shared.items():
            deltas[perturbed(name, context, Mode.INTERFERENCE)] = delta + own * rng.normal(size=12)
    only_here = perturbed("G09", "RPE1", Mode.INTERFERENCE)
    deltas[only_here] = rng.normal(size=12)
    cells = measured(genes, starts, deltas, noise=noise)
    test = [one for one in deltas if one.context == "RPE1" and one.genes[0] not in ("G00", "G01")]
    return Screen(cells, split_of(cells, test), deltas)


SCREENS = {"pairs": pairs_screen, "contexts": contexts_screen}


def with_nan(cells: Cells, rows: np.ndarray) -> Cells:
    """The same cells with every value of some rows unknown."""
    matrix = cells.dense(np.arange(len(cells))).astype(np.float32)
    matrix[rows] = np.nan
    return replace(cells, expression=InMemory(matrix))


def reordered(cells: Cells, seed: int = 0) -> Cells:
    """The same cells with rows and genes in another order."""
    rng = np.random.default_rng(seed)
    turned = cells.take(rng.permutation(len(cells)))
    return turned.with_genes([cells.genes[i] for i in rng.permutation(len(cells.genes))])


def controls_of(screen: Screen) -> Cells:
    """The model-side controls of all contexts of a screen."""
    rows = [screen.split.model_controls(screen.cells, context) for context in screen.cells.contexts]
    return screen.cells.take(np.concatenate(rows))
