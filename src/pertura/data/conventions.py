"""How screens are written down: the known conventions as one table, what a user may say, what was understood."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

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

    `perturbation_columns` are looked for in their order; where `target_columns` are given, each of them holds one of
    the genes perturbed together in place of a single column. `placeholder` says that a single is written together with
    the control label, as in `A+ctrl`. `separator` and `guide_separator` are what the writer usually puts; what a file
    really holds is found from its labels. `mode` is given where every screen of the writer has the same one.
    """

    name: str
    perturbation_columns: tuple[str, ...]
    control_labels: tuple[str, ...]
    separator: str = "+"
    placeholder: bool = False
    guide_separator: str = ""
    target_columns: tuple[str, ...] = ()
    control_columns: tuple[str, ...] = ()
    mode: Mode | None = None
    context_columns: tuple[str, ...] = ("cell_type", "cell_line")
    batch_columns: tuple[str, ...] = ()
    scale: Literal["counts", "lognormalised"] = "lognormalised"


CONVENTIONS: tuple[Convention, ...] = (
    # GEARS, data_utils: "A+ctrl" or "ctrl+A", obs control 0/1; its Norman file carries no batch, others gemgroup
    Convention(
        "GEARS / scGPT",
        ("condition",),
        ("ctrl",),
        placeholder=True,
        control_columns=("control",),
        batch_columns=("gemgroup", "batch"),
    ),
    # cell-load, PerturbationDataModule: pert_col "gene", control_pert "non-targeting", batch_col "gem_group",
    # cell_type_key "cell_type"; the challenge files name the column target_gene
    Convention(
        "State / cell-load",
        ("gene", "target_gene"),
        ("non-targeting",),
        context_columns=("cell_line", "cell_type", "celltype"),
        batch_columns=("gem_group", "batch_var", "batch"),
    ),
    # PerturBench, curate_Norman19: scPerturb's "_" replaced by "+", copied into condition; cell_line -> cell_type
    Convention(
        "PerturBench",
        ("condition",),
        ("control",),
        context_columns=("cell_type", "cell_line"),
        batch_columns=("batch", "gemgroup"),
    ),
    # scPerturb, processing scripts: perturbation "A_B" (its "+" replaced by "_"), nperts, raw counts, ncounts
    Convention(
        "scPerturb",
        ("perturbation",),
        ("control",),
        separator="_",
        context_columns=("cell_line", "celltype"),
        batch_columns=("batch", "gemgroup"),
        scale="counts",
    ),
    # CellFlow: boolean obs[control_key], perturbation_covariates in gene_1, gene_2 ("ctrl" where there is no second)
    Convention(
        "CellFlow",
        (),
        ("ctrl", "control"),
        placeholder=True,
        target_columns=("gene_1", "gene_2"),
        control_columns=("control", "is_control"),
        context_columns=("cell_type", "cell_line"),
    ),
    # pertpy: norman_2019 has perturbation_name ("control", "A+B"); Mixscape's screens have gene_target ("NT")
    Convention(
        "pertpy",
        ("perturbation_name", "gene_target"),
        ("control", "NT"),
        context_columns=("cell_type", "cell_line", "celltype"),
        batch_columns=("gemgroup", "replicate"),
    ),
    # X-Atlas/Orion data card: gene_target ("Non-Targeting"), sample ("HCT116_Batch1"), guide_target, total_counts,
    # counts; every screen in it is CRISPRi
    Convention(
        "X-Atlas",
        ("gene_target",),
        ("Non-Targeting",),
        mode=Mode.INTERFERENCE,
        batch_columns=("sample",),
        scale="counts",
    ),
)
"""The known writers, one row each."""

CONTROL_COLUMNS = ("control", "is_control", "is_ctrl")
"""Columns of yes and no that mark the unperturbed cells."""
GUIDE_COLUMNS = (
    "guide_id",
    "guide_ID",
    "guide_identity",
    "guide_ids",
    "guide_target",
    "sgID_AB",
    "guide",
    "gRNA",
    "sgRNA",
)
GENES_COLUMN = "nperts"
"""scPerturb's count of perturbations in a cell; some of its files count a second kind of perturbation with it."""
DOSE_COLUMNS = ("dose", "dose_val", "dose_value")
SECOND_PERTURBATION = "perturbation_2"
"""scPerturb: what else was done to a cell. Where it names no gene it is a state of the cells, as a stimulus is."""
SECOND_FACTORS = ("condition", "treatment", "stimulation", "stimulus", "cytokine", "drug", "timepoint", "time")
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
    "knockdown": Mode.INTERFERENCE,
    "shrna": Mode.INTERFERENCE,
    "rnai": Mode.INTERFERENCE,
    "orf": Mode.OVEREXPRESSION,
    "orfoverexpression": Mode.OVEREXPRESSION,
}
NOT_GENETIC = frozenset(
    {"drug", "drugs", "compound", "compounds", "chemical", "chemicals", "smallmolecule", "smallmolecules"}
    | {"cytokine", "cytokines", "ligand", "ligands", "antibody", "virus", "infection", "pathogen", "stimulus"}
)
"""Words of a column of the mode that say that no gene is perturbed."""
LIBRARY_COLUMNS = ("ncounts", "n_counts", "total_counts", "n_umi", "nUMI", "UMI_count", "n_umis")
LIBRARY_PREFIX = "nCount_"
LISTS = ("control", "context_column", "target_column", "exclude")
"""Flags that may be given more than once."""


def known(attribute: str) -> tuple[str, ...]:
    """Return all entries of a column of the table, each once, in the table's order."""
    return tuple(dict.fromkeys(entry for one in CONVENTIONS for entry in getattr(one, attribute)))


def mode_of(word: str) -> Mode | None:
    """Return the mode that a word of a file stands for; None where it does not tell (`CRISPR` may be several)."""
    return MODE_WORDS.get(plain(word))


def plain(word: str) -> str:
    """Return a word in small letters without the marks that people put between its parts."""
    return word.lower().replace("-", "").replace(" ", "").replace("_", "")


@strict_dataclass(frozen=True, kw_only=True, config=STRICT)
class Flags:
    """What a user says about a file; whatever is left None is recognised, or asked for where it is not clear."""

    perturbation_column: str | None = None
    target_column: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    control_column: str | None = None
    separator: str | None = None
    guide_separator: str | None = None
    mode: Mode | None = None
    mode_column: str | None = None
    context_column: tuple[str, ...] = ()
    batch_column: str | None = None
    gene_column: str | None = None
    library_size_column: str | None = None
    whole_transcriptome: bool | None = None
    exclude: tuple[str, ...] = ()
    not_genes: Literal["exclude", "keep"] | None = None
    repeated_genes: Literal["exclude", "once"] | None = None
    doses: Literal["exclude", "pool"] | None = None
    gene_names: Literal["file", "approved"] | None = None

    @classmethod
    def of(cls, flags: Mapping[str, object]) -> "Flags":
        """Return flags given by name; one label or column will do where several may be given."""
        reject_unknown(flags, [one.name for one in dataclasses.fields(cls)], "flag")
        given = {name: value for name, value in flags.items() if value is not None}
        for name in LISTS:
            value = given.get(name, ())
            given[name] = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
        try:
            made = cls(**{**given, "mode": _given_mode(given.get("mode"))})  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"flag {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
        if made.mode is not None and made.mode_column is not None:
            raise UsageError("give --mode or --mode-column, not both")
        if made.perturbation_column is not None and made.target_column:
            raise UsageError("give --perturbation-column or --target-column, not both")
        return made


def _given_mode(word: object) -> Mode | None:
    if word is not None and word not in set(Mode):
        raise UsageError(f"--mode {word}: one of {', '.join(Mode)}")
    return None if word is None else Mode(str(word))


@strict_dataclass(frozen=True, kw_only=True, config=STRICT)
class Reading:
    """How a file is read: which columns and labels mean what, on which scale the numbers are, and why it is so.

    An empty name means that there is no such column. `controls` lists the labels of unperturbed cells;
    `control_column` marks them where labels do not. `target_columns` hold one gene each and stand in place of
    `perturbation_column`. `excluded` are labels whose cells are left out; of a perturbation that was given at several
    doses only `dose` is kept. `gene_column` is a column of var that holds the gene names where the row names of var do
    not; with `gene_names` approved, panel and targets are renamed to approved symbols where these are certain.
    """

    convention: str
    perturbation_column: str
    controls: tuple[str, ...]
    target_columns: tuple[str, ...] = ()
    control_column: str = ""
    separator: str = "+"
    guide_separator: str = ""
    mode: Mode = Mode.UNSPECIFIED
    mode_column: str = ""
    context_columns: tuple[str, ...] = ()
    batch_column: str = ""
    gene_column: str = ""
    library_size_column: str = ""
    scale: Scale = Scale("counts")
    repeated_genes: Literal["exclude", "once"] = "exclude"
    dose_column: str = ""
    dose: str = ""
    excluded: tuple[str, ...] = ()
    gene_names: Literal["file", "approved"] = "file"
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
