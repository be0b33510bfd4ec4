"""Vectors of proteins from an ESM2 language model: the mean over a protein's own residues."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.encoders.vector_cache import Vector, VectorCache, cache_folder, stacked
from pertura.priors.encoders.windows import LONGEST, OVERLAP, Piece, Window, batches, pieces, windows

if TYPE_CHECKING:
    from torch import Tensor

CELLFLOW = "cellflow-0.0.9"
CELLFLOW_TOKENS = 1022
"""Most tokens of a protein there, the two special ones among them."""
SPECIAL_TOKENS = 2
TOKENS = 4096
UNUSED = ("pooler.", "contact_head.")
"""Parts of a checkpoint that the residues' vectors do not depend on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How proteins are read: the longest window, what windows share, and the tokens of a batch, padding included."""

    longest: int = LONGEST
    overlap: int = OVERLAP
    tokens: int = TOKENS


class EsmEncoder:
    """Encodes protein sequences with an ESM2 model of the hub, by name, or in a folder.

    A protein's vector is the mean of the last layer over its own residues: neither the special tokens at its ends nor
    padding count, and what is read beside it changes it by rounding only. Proteins longer than a window are read in
    several, see `windows`. Vectors are kept on disk as they are made; a killed run goes on, and gives the same bytes.

    `compat="cellflow-0.0.9"` reproduces the tables that CellFlow 0.0.9 makes: all proteins of a list are averaged over
    as many tokens as the shortest of them has residues, at most 1,022, and no more than 1,020 residues are read.
    """

    def __init__(
        self, model: str, *, reading: Reading = Reading(), compat: str = "", cache: Path | None = None
    ) -> None:
        if compat not in ("", CELLFLOW):
            raise UsageError(f"compat {compat!r}: only {CELLFLOW!r} is known")
        self.model = model if "/" in model or Path(model).is_dir() else f"facebook/{model}"
        self.reading, self.compat, self.folder = reading, compat, cache or cache_folder()
        self.name = f"esm2:{Path(self.model).name}" + (f" as {compat}" if compat else "")

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Return a row for each protein sequence.

        Letters that the model does not know raise `BadDataError`, an absent package or model `MissingError`.
        """
        proteins = sorted(set(texts), key=lambda one: (len(one), one))
        if proteins and not proteins[0]:
            raise BadDataError(f"sequence {texts.index('')} is empty", place=self.name)
        limit = min(CELLFLOW_TOKENS, len(proteins[0])) if self.compat and proteins else None
        cache = VectorCache(self.folder, self._key(limit))
        vectors = cache.vectors(proteins)
        if len(vectors) < len(proteins):
            self._complete(proteins, vectors, cache, limit)
        return stacked(texts, vectors)

    def _complete(self, proteins: list[str], vectors: dict[str, Vector], cache: VectorCache, limit: int | None) -> None:
        """Make the vectors that are not there yet; each is kept as soon as its last window was read."""
        network = Network.loaded(self.model)
        network.check(proteins)
        partial = _Partial(proteins, lambda length: self._cut(length, limit))
        for batch in batches(partial.ordered, self.reading.tokens, SPECIAL_TOKENS):
            if all(proteins[one.protein] in vectors for one in batch):
                continue
            spans = [_span(one.window, limit) for one in batch]
            sums = network.sums([proteins[one.protein][one.window.start : one.window.stop] for one in batch], spans)
            for one, total, span in zip(batch, sums, spans):
                vector = partial.add(one, total, span[1] - span[0])
                if vector is not None and proteins[one.protein] not in vectors:
                    cache.keep(proteins[one.protein], vector)
                    vectors[proteins[one.protein]] = vector

    def _cut(self, length: int, limit: int | None) -> tuple[Window, ...]:
        if limit is None:
            return windows(length, self.reading.longest, self.reading.overlap)
        read = min(length, CELLFLOW_TOKENS - SPECIAL_TOKENS)
        return (Window(0, read, 0, read),)

    def _key(self, limit: int | None) -> str:
        """Return what a vector depends on beside its sequence, so that no other's is taken for it."""
        how = f"{self.reading.longest} {self.reading.overlap}" if limit is None else f"{self.compat} {limit}"
        return f"esm2 {self.model} {_content_of(Path(self.model))} {how}"


def _span(window: Window, limit: int | None) -> tuple[int, int]:
    """Return which tokens of a window are summed; token 0 is the one that begins every sequence.

    With a limit the token that ends a sequence is among them where the limit is beyond the residues that were read.
    """
    if limit is None:
        return 1 + window.first - window.start, 1 + window.last - window.start
    return 1, min(limit, window.length + 1) + 1


class _Partial:
    """Sums of windows that wait for the other windows of their protein."""

    def __init__(self, proteins: Sequence[str], cut: Callable[[int], tuple[Window, ...]]) -> None:
        self.ordered = pieces((len(one) for one in proteins), cut)
        self.wanted: dict[int, int] = {}
        for one in self.ordered:
            self.wanted[one.protein] = self.wanted.get(one.protein, 0) + 1
        self.sums: dict[int, dict[int, tuple[np.ndarray, int]]] = {}

    def add(self, piece: Piece, total: Float[np.ndarray, " width"], tokens: int) -> Vector | None:
        """Return the mean of a protein with the sum that was missing; None while others are."""
        sums = self.sums.setdefault(piece.protein, {})
        sums[piece.window.start] = total, tokens
        if len(sums) < self.wanted[piece.protein]:
            return None
        ordered = [sums[start] for start in sorted(sums)]
        del self.sums[piece.protein]
        whole = np.sum([one for one, _ in ordered], axis=0) / sum(count for _, count in ordered)
        return whole.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded model and the token id of each residue letter."""

    network: Any
    ids: Mapping[str, int]
    device: str
    name: str = field(default="")

    @classmethod
    def loaded(cls, model: str) -> "Network":
        """Return the model of a hub's name or folder, on a GPU where one is; weights it lacks are refused."""
        try:
            import torch
            from transformers import EsmModel, EsmTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise MissingError(f"{model} needs transformers: pip install 'pertura[protein]'") from error
        logging.disable_progress_bar()  # one for each weight; whoever loads a model says so
        try:
            both: Any = EsmModel.from_pretrained(model, add_pooling_layer=False, output_loading_info=True)
            ids = EsmTokenizer.from_pretrained(model).get_vocab()
        except (OSError, ValueError) as error:
            raise MissingError(
                f"{model} cannot be loaded: {(str(error) or type(error).__name__).splitlines()[0][:300]}"
            ) from error
        network, said = both
        absent = sorted(one for one in said["missing_keys"] if not one.startswith(UNUSED))
        if absent:
            raise BadDataError(f"{len(absent)} weights are not there: {', '.join(absent[:3])}", file=model)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(network.eval().requires_grad_(False).to(device), ids, device, model)

    def check(self, proteins: Iterable[str]) -> None:
        """Raise `BadDataError` where a sequence has letters that are no residues of this model."""
        letters = set().union(*proteins)
        unknown = sorted(one for one in letters if one not in self.ids or not one.isupper())
        if unknown:
            problem = f"sequences have {', '.join(map(repr, unknown[:10]))}, which {self.name} has no token for"
            raise BadDataError(problem, remedy="write X for a residue that is not known")

    def sums(self, sequences: Sequence[str], spans: Sequence[tuple[int, int]]) -> list[Float[np.ndarray, " width"]]:
        """Return for each sequence the sum of the last layer over a span of its tokens, in double precision."""
        import torch

        tokens, present = self._tokens(sequences)
        with torch.inference_mode():
            hidden = self.network(input_ids=tokens, attention_mask=present).last_hidden_state
            totals = [hidden[row, first:last].double().sum(dim=0) for row, (first, last) in enumerate(spans)]
            found: np.ndarray = torch.stack(totals).cpu().numpy()
        if not np.isfinite(found).all():
            raise BadDataError("the model gave numbers that are not finite", file=self.name)
        return list(found)

    def _tokens(self, sequences: Sequence[str]) -> tuple["Tensor", "Tensor"]:
        """Return padded token ids, each sequence between its two special tokens, and a mask of what is no padding."""
        import torch

        longest = max(map(len, sequences)) + SPECIAL_TOKENS
        tokens = torch.full((len(sequences), longest), self.ids["<pad>"], dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids = [self.ids["<cls>"], *(self.ids[one] for one in sequence), self.ids["<eos>"]]
            tokens[row, : len(ids)] = torch.tensor(ids)
        lengths = torch.tensor([len(one) + SPECIAL_TOKENS for one in sequences])
        present = (torch.arange(longest)[None, :] < lengths[:, None]).long()
        return tokens.to(self.device), present.to(self.device)


def _content_of(folder: Path) -> str:
    """Return a word that changes when the files of a model's folder do; empty for a model of the hub."""
    if not folder.is_dir():
        return ""
    files = sorted(one for one in folder.iterdir() if one.is_file())
    told = [f"{one.name} {one.stat().st_size} {one.stat().st_mtime_ns}" for one in files]
    return hashlib.sha256("\n".join([str(folder.resolve()), *told]).encode()).hexdigest()[:16]
