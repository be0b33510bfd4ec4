"""The files of a published folder beside its weights."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError, MissingError
from pertura.genes.vocab import Vocab

SPECIAL_TOKENS = ("<pad>", "<cls>", "<eoc>")
WEIGHTS_FILE, VOCAB_FILE, ARGS_FILE = "best_model.pt", "vocab.json", "args.json"
BLOCK_BYTES = 1 << 22


def files_beside(folder: Path, weights_file: str) -> dict[str, Path]:
    """Return every file of a folder but the weights, by its place in the folder; hidden ones are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in place.parts)
        if path.is_file() and not hidden and str(place) != weights_file:
            found[str(place)] = path
    return found


def copied(source: Path, target: Path) -> str:
    """Copy a file, whole or not at all, and return its sha256."""
    digest = hashlib.sha256()
    with replacing(target) as temporary, source.open("rb") as reader, temporary.open("wb") as writer:
        while block := reader.read(BLOCK_BYTES):
            digest.update(block)
            writer.write(block)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_object(path: Path, *, required: bool) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one where there is no file and none is required."""
    if not path.is_file():
        if required:
            raise MissingError(f"{path}: no such file")
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"not JSON ({error})", file=path) from error
    if not isinstance(content, dict):
        raise BadDataError("not a JSON object", file=path)
    return content


def read_vocab(path: Path) -> Vocab:
    """Return the vocabulary with the special tokens at its end where it lacks them, as the official loader does."""
    ids = read_object(path, required=True)
    wrong = next((token for token, one in ids.items() if type(one) is not int or one < 0), None)
    if wrong is not None:
        raise BadDataError(f"the id of {wrong!r} is no natural number", file=path)
    for token in SPECIAL_TOKENS:
        if token not in ids:
            ids[token] = max(ids.values(), default=-1) + 1
    try:
        return Vocab(ids)
    except BadDataError as error:
        raise BadDataError(error.problem, file=path) from error


def is_that_vocab(path: Path, vocab: Vocab) -> bool:
    """Whether a file holds this vocabulary, perhaps without special tokens that were added when it was read."""
    ids = read_object(path, required=True)
    added = set(vocab.ids) - set(ids)
    return added <= set(SPECIAL_TOKENS) and all(vocab.ids.get(token) == one for token, one in ids.items())


def pad_id(vocab: Vocab, args: Mapping[str, Any], path: Path) -> int:
    """Return the id of the token that stands for no gene."""
    token = str(args.get("pad_token", SPECIAL_TOKENS[0]))
    if token not in vocab.ids:
        raise BadDataError(
            f"pad_token is {token!r}, which {VOCAB_FILE} does not have",
            file=path / ARGS_FILE,
            remedy="args.json and vocab.json belong to different models",
        )
    return vocab.ids[token]
