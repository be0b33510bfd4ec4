"""A drawn figure: one SVG element with the words that go with it."""

import re
from dataclasses import dataclass
from html import escape

from pertura.report.wording import printable

_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^")]+)')


@dataclass(frozen=True, slots=True)
class Figure:
    """An SVG element, what it shows in one sentence for those who cannot see it, and how to read it."""

    svg: str
    alt: str
    caption: str

    def inlined(self, prefix: str) -> str:
        """Return the SVG for a page: with its description, every id prefixed, so that no two figures share one."""
        named = _ID.sub(lambda found: f'id="{prefix}{found[1]}"', self.svg)
        linked = _REFERENCE.sub(lambda found: f"{found[1]}{prefix}{found[2]}", named)
        return linked.replace("<svg ", f'<svg role="img" aria-label="{escape(printable(self.alt), quote=True)}" ', 1)
