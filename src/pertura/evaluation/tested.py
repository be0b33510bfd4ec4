"""Genes that rank tests call significant: in the observed cells, in redrawn, permuted and halved ones, and predicted.

Predicted cells are tested against the model-side controls of their context, observed ones against the judge-side
controls. Batches are not told apart by these tests.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.expression import Expression, Subset
from pertura.core.heap import give_back
from pertura.core.perturbation import Condition
from pertura.evaluation import resampling
from pertura.evaluation.effort import Rounds
from pertura.evaluation.resampling import Coded, ControlGroups
from pertura.metrics.differential import Tests, differential_expression, redrawn_tests
from pertura.metrics.significant import Called, called, directions

MOST_VALUES = 1 << 24
"""FDR values held at a time."""
TEST_BYTES = 1 << 28
"""What a rank test may hold beside the draws of all conditions, which are in memory at the same time."""
Directions = Int[np.ndarray, "conditions genes"]
Codes = Int[np.ndarray, "draws cells"]


def tests_for(cells: Cells) -> Tests:
    """Return how genes are compared: log2 fold changes of geometric means, of logarithms or of counts."""
    return Tests(logged=cells.scale.kind == "lognormalised", memory=TEST_BYTES)


@dataclass(frozen=True, eq=False)
class ObservedCalls:
    """Called genes of the observed cells, and of their redrawn, permuted and halved versions.

    `first` and `second` are halves: `first` is judged against, `second` stands in for a prediction.
    """

    plain: Called
    bootstrap: Int[np.ndarray, "draws conditions genes"]
    permuted: Int[np.ndarray, "permutations conditions genes"]
    first: Int[np.ndarray, "halves conditions genes"]
    second: tuple[Called, ...]


@dataclass(frozen=True, eq=False)
class Tester:
    """What all tests of one screen share: its cells, the judged conditions, and the controls of both sides."""

    cells: Cells
    conditions: tuple[Condition, ...]
    judge: ControlGroups
    model: ControlGroups
    seed: int

    def observed(self, rounds: Rounds) -> ObservedCalls:
        """Return the calls of the observed cells and of their draws."""
        give_back()
        judged = Coded.of(self.cells, self.conditions, self.judge)
        sizes = np.bincount(judged.codes, minlength=len(self.conditions) + len(self.judge.names))
        copies = resampling.copies(self.conditions, self.judge, sizes.tolist(), rounds.bootstrap, self.seed)
        same = np.broadcast_to(judged.codes, copies.shape)
        rows, shuffled = resampling.permuted_codes(
            self.cells, self.conditions, self.judge, rounds.permutations, self.seed
        )
        fdr, change = self._tested(Subset(self.cells.expression, judged.rows), judged.codes, self.judge)
        return ObservedCalls(
            plain=called(fdr, change, self.cells.genes),
            bootstrap=self._directions(judged.rows, same, copies, self.judge),
            permuted=self._directions(rows, shuffled, None, self.judge),
            first=self._directions(*self._half(0, rounds.halves), None, self.judge),
            second=tuple(
                called(*both, self.cells.genes)
                for piece in self._redrawn(*self._half(1, rounds.halves), None, self.model)
                for both in zip(*piece)
            ),
        )

    def predicted(self, predicted: Expression, sizes: Sequence[int]) -> Called:
        """Return the calls of predicted cells: those of each condition in turn, then the model-side controls."""
        give_back()
        own = np.repeat(np.arange(len(self.conditions)), sizes)
        controls = np.repeat(
            np.arange(len(self.model.names)) + len(self.conditions), [len(rows) for rows in self.model.rows]
        )
        return called(*self._tested(predicted, np.concatenate([own, controls]), self.model), self.cells.genes)

    def _tested(
        self, expression: Expression, codes: Int[np.ndarray, " cells"], groups: ControlGroups
    ) -> tuple[Float[np.ndarray, "conditions genes"], Float[np.ndarray, "conditions genes"]]:
        fdr, change = np.ones((len(self.conditions), len(self.cells.genes))), None
        change = np.zeros_like(fdr)
        for mine, own in self._contexts(codes, groups):
            found = differential_expression(expression, own, len(mine), options=tests_for(self.cells))
            fdr[mine], change[mine] = _settled(found.fdr, found.log2_fold_change)
        return fdr, change

    def _directions(
        self, rows: Int[np.ndarray, " cells"], codes: Codes, copies: Codes | None, groups: ControlGroups
    ) -> Int[np.ndarray, "draws conditions genes"]:
        pieces = [directions(*piece) for piece in self._redrawn(rows, codes, copies, groups)]
        empty = np.zeros((0, len(self.conditions), len(self.cells.genes)), dtype=np.int8)
        return np.concatenate([empty, *pieces])

    def _redrawn(
        self, rows: Int[np.ndarray, " cells"], codes: Codes, copies: Codes | None, groups: ControlGroups
    ) -> Iterator[tuple[Float[np.ndarray, "draws conditions genes"], Float[np.ndarray, "draws conditions genes"]]]:
        """Yield FDR and change of some draws at a time."""
        expression = Subset(self.cells.expression, rows)
        size = (len(self.conditions), len(self.cells.genes))
        most = max(MOST_VALUES // (size[0] * size[1]), 1)
        for start in range(0, len(codes), most):
            some = codes[start : start + most]
            often = None if copies is None else copies[start : start + most]
            contexts = list(self._contexts(some, groups))
            if len(contexts) == 1:  # its tables are those of all conditions, and not copied
                found = redrawn_tests(expression, contexts[0][1], often, size[0], tests_for(self.cells))
                yield _settled(found.fdr, found.log2_fold_change)
                continue
            fdr, change = np.ones((len(some), *size), np.float32), np.zeros((len(some), *size), np.float32)
            for mine, own in contexts:
                found = redrawn_tests(expression, own, often, len(mine), tests_for(self.cells))
                fdr[:, mine], change[:, mine] = _settled(found.fdr, found.log2_fold_change)
            yield fdr, change

    def _contexts(
        self, codes: Int[np.ndarray, "*draws cells"], groups: ControlGroups
    ) -> Iterator[tuple[Int[np.ndarray, " own"], Int[np.ndarray, "*draws cells"]]]:
        """Yield for each context its conditions, and codes among these alone with the context's controls as last."""
        for context in sorted({one.context for one in self.conditions}):
            mine = np.asarray([i for i, one in enumerate(self.conditions) if one.context == context])
            table = np.full(len(self.conditions) + len(groups.names) + 1, -1, dtype=np.int64)
            table[mine] = np.arange(len(mine))
            for group, (name, _) in enumerate(groups.names):
                if name == context:
                    table[len(self.conditions) + group] = len(mine)
            yield mine, table[codes]  # a code of -1 (left out) is the last entry, which stays -1

    def _half(self, side: int, draws: int) -> tuple[Int[np.ndarray, " cells"], Codes]:
        """Return the cells of conditions and of one side's controls, and their codes in each half of that side."""
        groups = (self.judge, self.model)[side]
        coded = Coded.of(self.cells, self.conditions, groups)
        codes = np.full((draws, len(coded.rows)), -1, dtype=np.int64)
        for code in np.unique(coded.codes):
            places = np.flatnonzero(coded.codes == code)
            for draw, part in enumerate(self._parts(int(code), groups, side)(len(places), draws)):
                codes[draw, places[part]] = code
        return coded.rows, codes

    def _parts(
        self, code: int, groups: ControlGroups, side: int
    ) -> Callable[[int, int], list[Int[np.ndarray, " part"]]]:
        """The same halves as those of the means; a control group with one cell serves whole."""
        control = code - len(self.conditions)
        key = (
            resampling.halves_key(self.conditions[code], self.seed)
            if control < 0
            else resampling.control_halves_key(groups.names[control], side, self.seed)
        )

        def parts(size: int, draws: int) -> list[Int[np.ndarray, " part"]]:
            if control >= 0 and size == 1:
                return [np.zeros(1, dtype=np.int64)] * draws
            start = 0 if control >= 0 or side == 0 else size // 2
            return [order[start : start + size // 2] for order in resampling.half_orders(size, draws, key)]

        return parts


def _settled(
    fdr: Float[np.ndarray, "*lead genes"], change: Float[np.ndarray, "*lead genes"]
) -> tuple[Float[np.ndarray, "*lead genes"], Float[np.ndarray, "*lead genes"]]:
    """Set what cannot be tested (a condition without cells in a draw) to not called, in the arrays themselves."""
    fdr[np.isnan(fdr)] = 1.0
    return fdr, np.nan_to_num(change, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)


def nothing_called(conditions: int, genes: int) -> Called:
    """Return the calls of cells that do not differ from control."""
    none = np.zeros((conditions, genes), dtype=np.int8)
    return Called(none, none, np.full((conditions, genes), genes, dtype=np.int32))
