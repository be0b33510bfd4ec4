"""How screens are written down: the known conventions as one table, what a user may say, what was understood."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as strict_dataclass

from pertura.core.cells import Scale
from pertura.core.errors import UsageError
from pertura.core.perturbation import Mode

STRICT = ConfigDict(extra="forbid", strict=True)
NONE = "none"
"""What a user says for a column that should not be used although the file has it."""


@dataclass(frozen=True, slots=True)
class Convention:
    """One way of writing a screen into obs.

    `placeholder` says that a single is written together with the control label, as in `A+ctrl`. `guide_separator`
    cuts the number of a guide off the gene's name. Columns are listed in the order in which they are looked for.
    """

    name: str
    perturbation_columns: tuple[str, ...]
    control_labels: tuple[str, ...]
    separator: str = "+"
    placeholder: bool = False
    guide_separator: str = ""
    context_columns: tuple[str, ...] = ("cell_type", "cell_line")
    batch_columns: tuple[str, ...] = ()


CONVENTIONS: tuple[Convention, ...] = (
    Convention("GEARS / scGPT", ("condition",), ("ctrl",), placeholder=True, batch_columns=("gemgroup", "batch")),
    Convention(
        "State / cell-eval",
        ("gene", "target_gene"),
        ("non-targeting",),
        context_columns=("cell_line", "cell_type", "celltype"),
        batch_columns=("gem_group", "batch_var", "batch"),
    ),
    Convention("PerturBench", ("condition", "perturbation"), ("control",), batch_columns=("batch",)),
)

SECOND_FACTORS = ("treatment", "perturbation_2", "stimulation", "stimulus", "cytokine", "drug", "timepoint", "time")
"""Columns that say what else was done to the cells; where controls differ in one, contexts may have to."""
GENE_COLUMNS = ("gene_name", "gene_symbol", "gene_symbols", "symbol", "feature_name")
MODE_COLUMNS = ("perturbation_type", "perturbation_mode", "mode")
MODE_WORDS: Mapping[str, Mode] = {
    **{str(mode): mode for mode in Mode},
    "crispra": Mode.ACTIVATION,
    "crispri": Mode.INTERFERENCE,
    "crisprko": Mode.KNOCKOUT,
    "crisprcas9": Mode.KNOCKOUT,
    "crisprcutting": Mode.KNOCKOUT,
    "ko": Mode.KNOCKOUT,
    "orf": Mode.OVEREXPRESSION,
}
LIBRARY_COLUMNS = ("ncounts", "n_counts", "total_counts", "n_umi", "nUMI", "UMI_count", "n_umis")
LIBRARY_PREFIX = "nCount_"


def known(attribute: str) -> tuple[str, ...]:
    """Return all entries of a column of the table, each once, in the table's order."""
    return tuple(dict.fromkeys(entry for one in CONVENTIONS for entry in getattr(one, attribute)))


def mode_of(word: str) -> Mode | None:
    """Return the mode that a word of a file stands for; None where it does not tell (`CRISPR` may be several)."""
    return MODE_WORDS.get(word.lower().replace("-", "").replace(" ", "").replace("_", ""))


@strict_dataclass(frozen=True, kw_only=True, config=STRICT)
class Flags:
    """What a user says about a file; whatever is left None is recognised, or asked for where it is not clear."""

    perturbation_column: str | None = None
    control: tuple[str, ...] = ()
    separator: str | None = None
    guide_separator: str | None = None
    mode: Mode | None = None
    mode_column: str | None = None
    context_column: tuple[str, ...] = ()
    batch_column: str | None = None
    gene_column: str | None = None
    library_size_column: str | None = None
    whole_transcriptome: bool | None = None

    @classmethod
    def of(cls, flags: Mapping[str, object]) -> "Flags":
        """Return flags given by name; one label or column will do where several may be given."""
        reject_unknown(flags, [one.name for one in dataclasses.fields(cls)], "flag")
        given = {name: value for name, value in flags.items() if value is not None}
        for name in ("control", "context_column"):
            value = given.get(name, ())
            given[name] = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
        try:
            made = cls(**{**given, "mode": _given_mode(given.get("mode"))})  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"flag {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
        if made.mode is not None and made.mode_column is not None:
            raise UsageError("give --mode or --mode-column, not both")
        return made


def _given_mode(word: object) -> Mode | None:
    if word is not None and word not in set(Mode):
        raise UsageError(f"--mode {word}: one of {', '.join(Mode)}")
    return None if word is None else Mode(str(word))


@strict_dataclass(frozen=True, kw_only=True, config=STRICT)
class Reading:
    """How a file is read: which columns and labels mean what, on which scale the numbers are, and why it is so.

    An empty name means that there is no such column. `controls` lists the labels of unperturbed cells. `gene_column`
    is a column of var that holds the gene names where the row names of var do not.
    """

    convention: str
    perturbation_column: str
    controls: tuple[str, ...]
    separator: str = "+"
    guide_separator: str = ""
    mode: Mode = Mode.UNSPECIFIED
    mode_column: str = ""
    context_columns: tuple[str, ...] = ()
    batch_column: str = ""
    gene_column: str = ""
    library_size_column: str = ""
    scale: Scale = Scale("counts")
    evidence: tuple[str, ...] = ()


READING: TypeAdapter[Reading] = TypeAdapter(Reading)


def reject_unknown(given: Iterable[str], allowed: Iterable[str], kind: str) -> None:
    """Raise `UsageError` for a name that is not allowed, with the nearest that is."""
    names = list(allowed)
    for name in given:
        if name not in names:
            raise UsageError(f"unknown {kind} {name!r}{nearest(name, names)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint at the most similar name, or at all names where none is similar."""
    options = list(names)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(options)}"
