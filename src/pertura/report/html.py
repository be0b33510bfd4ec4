"""A page of sections and blocks as one HTML file that asks nothing of the network and runs no script."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pertura.core.errors import UsageError
from pertura.report.figure import Figure
from pertura.report.sortable import SortableTable
from pertura.report.tables import Table, shown
from pertura.report.wording import printable

_SECTION_ID = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table."""

    kind: ClassVar[str] = "table"
    table: Table


@dataclass(frozen=True, slots=True)
class FigureBlock:
    """A figure."""

    kind: ClassVar[str] = "figure"
    figure: Figure


@dataclass(frozen=True, slots=True)
class Warnings:
    """Things the reader must know before believing a number; always in sight."""

    kind: ClassVar[str] = "warnings"
    items: tuple[str, ...]
    title: str = "Warnings"


@dataclass(frozen=True, slots=True)
class Definitions:
    """Names and what each of them is."""

    kind: ClassVar[str] = "definitions"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that open on request; never the place for a warning."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: tuple["Block", ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a file beside the page, to a section of it (`#scores`), or to a web address."""

    text: str
    href: str
    note: str = ""

    @property
    def target(self) -> str:
        """The address as written into the page: a web address, a section, or else a path that can be nothing more."""
        if self.href.startswith(("https://", "http://")):
            return self.href
        if self.href.startswith("#"):
            return f"#{quote(self.href[1:])}"
        path, mark, place = self.href.partition("#")
        return f"./{quote(path.removeprefix('./').lstrip('/'))}{mark}{quote(place)}"


@dataclass(frozen=True, slots=True)
class Links:
    """A list of links."""

    kind: ClassVar[str] = "links"
    items: tuple[Link, ...]


Block = Paragraph | TableBlock | SortableTable | FigureBlock | Warnings | Definitions | Details | Links


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `id` is its place in the address and must be unique on the page."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page: the sentence that answers the question, what stands behind it, then the sections."""

    title: str
    headline: str
    lead: str
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    footer: str = ""


def render(page: Page) -> str:
    """Return the page as one HTML file. Every text is escaped; equal pages give equal bytes.

    A section id that is no plain word or stands twice, or a warning inside `Details`, raises `UsageError`.
    """
    _check(page)
    text = _ENVIRONMENT.get_template("report.html").render(page=page, inlined=_Inliner())
    return "\n".join(line for line in (one.rstrip() for one in text.splitlines()) if line) + "\n"


def table_html(table: Table) -> str:
    """Return a table alone as HTML."""
    macros = _ENVIRONMENT.get_template("table.html").module
    return str(macros.table(table))  # type: ignore[attr-defined]


def _check(page: Page) -> None:
    ids = [section.id for section in page.sections]
    wrong = [one for one in ids if not _SECTION_ID.fullmatch(one) or ids.count(one) > 1 or one == "contents"]
    if wrong:
        raise UsageError(f"section ids must be unique words of a-z, 0-9 and '-', and not 'contents': {wrong}")
    hidden = [one for section in page.sections for one in _folded(section.blocks) if isinstance(one, Warnings)]
    if hidden:
        raise UsageError(f"a warning must stay in sight, not inside details: {hidden[0].items[:1]}")


def _folded(blocks: Sequence[Block], inside: bool = False) -> Iterator[Block]:
    """Yield the blocks that stand inside details."""
    for block in blocks:
        if inside:
            yield block
        if isinstance(block, Details):
            yield from _folded(block.blocks, inside=True)


class _Inliner:
    """Gives each figure of one page its own prefix of ids."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, figure: Figure) -> Markup:
        # The SVG comes from our own drawing, which escapes every name in it; it is the only markup taken as it is.
        return Markup(figure.inlined(f"figure{next(self._numbers)}-"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pertura.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever a name of a gene or a perturbation holds, it reaches the page as one line of text.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.globals["shown"] = shown
    return environment


_ENVIRONMENT = _environment()
