"""What was done to a screen, as one JSON text that the prepared file carries, and as lines to read."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pertura.core.errors import BadDataError
from pertura.core.split import Split
from pertura.data.columns import counted

FORMAT = "pertura-prepare"
VERSION = 1
PLACE = "pertura_prepare"
"""Where in uns the account stands."""
SHOWN = 6
ON_TRAIN = "the train cells of the split "
SHORT = 12
"""Characters of a split's fingerprint."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """All that was decided on the way from a file to a prepared one.

    `chosen_on` says which cells the choice of genes saw, with the fingerprint of their split ("" without one).
    `added` are perturbed genes that were taken although they vary less; `unmeasured` could not be taken. `left_out`
    counts cells by reason; `behind` names what the file held and this one does not; `notes` are what was known of the
    file, such as that its panel was chosen on all cells. `knockdown` is empty without the filter.
    """

    format: str = FORMAT
    version: int = VERSION
    made_by: str
    source: Mapping[str, object]
    cells: int
    genes: int
    measured_genes: int
    target_sum: float | None
    log_base: str = "natural"
    size_factors: str
    counts_from: str
    asked_genes: int
    min_cells: int
    chosen_by: str
    chosen_on: Mapping[str, object]
    variable: tuple[str, ...]
    added: tuple[str, ...]
    unmeasured: tuple[str, ...]
    left_out: Mapping[str, int]
    knockdown: Mapping[str, object] = field(default_factory=dict)
    split_left_out: Mapping[str, int] = field(default_factory=dict)
    behind: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    @property
    def lines(self) -> tuple[str, ...]:
        """The account in words, one fact a line."""
        per_cell = f"{self.target_sum:,.6g} per cell" if self.target_sum else "an unknown sum per cell"
        perturbed = f"{counted(len(self.added), 'perturbed gene') if self.added else 'no perturbed gene'} besides"
        return tuple(
            line
            for line in (
                f"{self.cells:,} cells x {self.genes:,} of {self.measured_genes:,} genes",
                f"X: natural logarithms of counts scaled to {per_cell}; size factors: {self.size_factors}",
                f"layers['counts']: from {self.counts_from}" if self.counts_from else "no counts: the file tells none",
                f"genes: {len(self.variable):,} variable ones ({self.chosen_by}), {perturbed}{_named(self.added)}",
                f"chosen on {self.chosen_on['what']}",
                self._fewer,
                f"perturbed, but not measured: {len(self.unmeasured):,}{_named(self.unmeasured)}"
                if self.unmeasured
                else "",
                *(f"left out: {counted(count, 'cell')} {why}" for why, count in self.left_out.items() if count),
                *_knockdown_lines(self.knockdown),
                *(
                    f"left out of the split: {counted(count, what)}"
                    for what, count in self.split_left_out.items()
                    if count
                ),
                f"not taken over: {', '.join(self.behind[:SHOWN])}{' ...' if len(self.behind) > SHOWN else ''}"
                if self.behind
                else "",
                *(f"of the file: {note}" for note in self.notes),
            )
            if line
        )

    @property
    def _fewer(self) -> str:
        """Why there are fewer variable genes than were asked for; nothing where there are as many."""
        if len(self.variable) >= self.asked_genes:
            return ""
        shown = f", shown by at least {counted(self.min_cells, 'cell')}" if self.min_cells else ""
        return (
            f"{self.asked_genes:,} variable ones were asked for: no more than {len(self.variable):,} of the "
            f"{self.measured_genes:,} genes vary among those cells{shown}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of any later result must know."""
        found = []
        if not self.chosen_on.get("split"):
            found.append("the variable genes were chosen on all cells, test cells included: give --split to avoid it")
        if self.knockdown:
            found.append("cells were kept for the value of their target: its change in this file is no finding")
        if self.knockdown.get("test_left_out"):
            found.append(
                f"{self.knockdown['test_left_out']:,} test conditions were left out for what their own cells show: "
                "what remains is easier than the screen was"
            )
        return tuple(found)


def _knockdown_lines(found: Mapping[str, object]) -> list[str]:
    if not found:
        return []
    parts = found["conditions"]
    assert isinstance(parts, dict)
    kept = ", ".join(f"{name} {one['kept']:,} of {one['before']:,}" for name, one in parts.items() if one["before"])
    by_fate = found["left_out"]
    assert isinstance(by_fate, dict)
    return [
        f"knock-down filter (residual below {found['residual']:g}, of a cell below {found['cell_residual']:g}, at "
        f"least {found['cells']:,} cells; {found['values']} values; controls: {found['controls']})",
        f"  conditions that stay: {kept}",
        *(f"  {why}: {len(labels):,}{_named(labels)}" for why, labels in by_fate.items()),
    ]


def _named(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" ({', '.join(names[:SHOWN])}{f' and {len(names) - SHOWN:,} more' if len(names) > SHOWN else ''})"


def notes_of(text: str) -> tuple[str, ...]:
    """Return what must be known of a panel, from the account in a file's `uns["pertura_prepare"]`.

    An account of another format, or none at all, raises `BadDataError`.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT or int(content["version"]) > VERSION:
            raise ValueError(f"format {content['format']!r} version {content['version']!r}")
        chosen, genes, inherited = content["chosen_on"], len(content["variable"]), map(str, content["notes"])
        split, filtered = str(chosen["split"]), bool(content["knockdown"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadDataError(f"not an account of `pertura prepare`: {error}", place=f"uns[{PLACE!r}]") from error
    whom = f"{ON_TRAIN}{split[:SHORT]}" if split else "all cells, test cells included"
    panel = f"the panel: {genes:,} variable genes were chosen on {whom}, with the perturbed genes"
    notes = [*inherited, panel if split else f"computed before any split: {panel}"]
    if filtered:
        notes.append("computed before any split: conditions and cells without a knock-down were left out")
    return tuple(notes)


def chosen_elsewhere(notes: Sequence[str], split: Split) -> str | None:
    """Return a warning where the panel was chosen on the train cells of another split: test cells may be among them."""
    chosen = [note.partition(ON_TRAIN)[2][:SHORT] for note in notes if ON_TRAIN in note]
    if not chosen or split.fingerprint.startswith(chosen[-1]):
        return None
    return (
        f"the panel was chosen on the train cells of split {chosen[-1]}, this run has split "
        f"{split.fingerprint[:SHORT]}: cells that are test cells here may have taken part. Prepare the screen with "
        "`--split` and this run's split.json, or run with the split it was prepared with"
    )
