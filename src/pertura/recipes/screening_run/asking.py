"""From the words of a command, or of a Python call, to the record of a question."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pertura.core.errors import UsageError
from pertura.data.datasets.named import is_name
from pertura.recipes.screening_run.asked import Asked, asked_of, read_asked
from pertura.recipes.screening_run.candidates import genes_named
from pertura.screening.programme import Programme, programme_of


def question(given: Mapping[str, Any], record: Path | None = None) -> Asked:
    """Return what is asked, by a record or by words; both at once raise `UsageError`.

    Files that words name are read here: the record holds their genes, so that it repeats the same question.
    """
    if record is not None:
        if given:
            raise UsageError(f"{record} says all of its screen; to change it, start another with -o elsewhere")
        return read_asked(record)
    words = dict(given)
    content: dict[str, Any] = {"models": tuple(words.pop("model", ()) or ())}
    if not content["models"]:
        raise UsageError("which model? name a folder of `pertura run` with --model")
    programme = words.pop("programme", None)
    if programme is not None:
        read = programme if isinstance(programme, Programme) else programme_of(programme)
        content |= {"programme": dict(read.weights), "programme_name": read.name, "reading": read.notes}
    unwanted = words.pop("unwanted", None)
    if unwanted is not None:
        kept = programme_of(unwanted)
        content |= {"unwanted": dict(kept.weights), "reading": (*content.get("reading", ()), *kept.notes)}
    genes = words.pop("candidates", None)
    if genes is not None:
        content["genes"] = genes_named(genes) if isinstance(genes, str) else tuple(genes)
    if "target" in words:
        words["statistic"] = "distance"
    controls = words.get("controls")
    if isinstance(controls, str) and not is_name(controls):
        words["controls"] = str(Path(controls))
    asked = asked_of({**content, **words})
    asked.check()
    return asked
