"""Checkpoints named as on the Hugging Face hub with a pinned revision: from the local cache first, then the network."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.models.scgpt.package import ARGS_FILE, VOCAB_FILE, WEIGHTS_FILE, sha256_of

NAME = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@(?P<revision>[\w][\w.-]*)")
BARE = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
SITE = "https://huggingface.co"
WANTED = ("*.json", "*.pt", "*.safetensors", "*.md", "eval/*")
"""What is fetched; stored predictions, which may take gigabytes, are not."""
OFF = frozenset({"1", "on", "yes", "true"})


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of a known repository; nothing where size or hash was not published."""

    name: str
    size: str = ""
    sha256: str = ""


STANDARD = (PublishedFile(ARGS_FILE), PublishedFile(VOCAB_FILE), PublishedFile(WEIGHTS_FILE))
KNOWN: dict[str, tuple[PublishedFile, ...]] = {
    "u-cellm/scGPT-whole-human": (
        PublishedFile(ARGS_FILE, "1 KB", "c18e075e018140cb8b2d9029387b9de26607a5ce6a8ccabd6ead70cd76b95d60"),
        PublishedFile(VOCAB_FILE, "1.3 MB", "acca93d114ca62c3f0f50debbd23e8c87f0714f4737764454f6b2b13f2e8580f"),
        PublishedFile(WEIGHTS_FILE, "about 210 MB", "6cb5d451ab5c4b33eb673adbe4fddc61d2389df1b89b7651a9fe2e557572b922"),
    ),
    "matthewshu/scgpt-replogle-esm-ft": (
        PublishedFile(ARGS_FILE, "1 KB"),
        PublishedFile(VOCAB_FILE, "1.3 MB", "acca93d114ca62c3f0f50debbd23e8c87f0714f4737764454f6b2b13f2e8580f"),
        PublishedFile(WEIGHTS_FILE, "about 210 MB"),
        PublishedFile("scgpt_esm_prior.safetensors", "1.24 GB"),
    ),
}
"""What is known of published repositories without asking the hub."""


@dataclass(frozen=True, slots=True)
class Located:
    """A folder (or a file in it) on this machine, and what it is to be called in records."""

    folder: Path
    name: str


def located(name: Path | str) -> Located:
    """Return where a folder or a hub name lies on this machine; a hub name is fetched if it can be.

    A name is looked for among folders first, then in the hub's cache, then on the hub. Raises `UsageError` for a hub
    name without a revision, `MissingError` with the files to fetch by hand where it is not at hand, `BadDataError`
    where a cached file is not the published one.
    """
    path, text = Path(name), str(name)
    if path.exists():
        return Located(path, text)
    found = NAME.fullmatch(text)
    if found is None:
        if BARE.fullmatch(text):
            raise UsageError(
                f"{text}: no such folder; if this is a hub name, pin what it is to stand for: {text}@COMMIT"
            )
        raise MissingError(f"{text}: no such folder")
    return _of_hub(Repository(found["repository"], found["revision"], cache_folder()))


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at a revision, and the cache it is looked for in."""

    name: str
    revision: str
    cache: Path

    @property
    def home(self) -> Path:
        """Where the cache keeps the repository."""
        return self.cache / f"models--{self.name.replace('/', '--')}"

    @property
    def commit(self) -> str:
        """The commit that the revision stands for in the cache; the revision itself where the cache does not say."""
        reference = self.home / "refs" / self.revision
        if COMMIT.fullmatch(self.revision) or not reference.is_file():
            return self.revision
        return reference.read_text(encoding="utf-8").strip()

    @property
    def snapshot(self) -> Path:
        """Where its files lie in the cache."""
        return self.home / "snapshots" / self.commit

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        """The files that a checkpoint needs."""
        return KNOWN.get(self.name, STANDARD)

    @property
    def absent(self) -> tuple[PublishedFile, ...]:
        """Those of them that the cache does not have."""
        return tuple(one for one in self.files if not (self.snapshot / one.name).is_file())


def cache_folder() -> Path:
    """Return the hub's cache on this machine, where its own settings say."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(home).expanduser() / "hub"


def _of_hub(wanted: Repository) -> Located:
    why = "" if not wanted.absent else _fetched(wanted)
    if wanted.absent:
        raise MissingError(_by_hand(wanted, why))
    _check_files(wanted)
    return Located(wanted.snapshot, f"{wanted.name}@{wanted.commit}")


def _fetched(wanted: Repository) -> str:
    """Fetch a repository into the cache; return why that was not possible, nothing where it was."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFF:
        return "HF_HUB_OFFLINE is set"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        snapshot_download(
            wanted.name, revision=wanted.revision, cache_dir=wanted.cache, allow_patterns=list(WANTED), etag_timeout=5
        )
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
        words = str(error).strip()
        return words.splitlines()[0] if words else type(error).__name__
    return "the repository does not have them"


def _by_hand(wanted: Repository, why: str) -> str:
    lines = [
        f"{wanted.name}@{wanted.revision} is not in the hub's cache on this machine, and was not fetched ({why}).",
        f"Fetch by hand from {SITE}/{wanted.name}/tree/{wanted.revision} and put into",
        f"  {wanted.snapshot}",
        *_listed(wanted.absent),
        "or put them into any folder and give that folder in place of the name.",
    ]
    return "\n".join(lines)


def _listed(files: Iterable[PublishedFile]) -> list[str]:
    return [
        f"    {one.name:<28} {one.size or 'size not known here':<20} sha256 {one.sha256 or 'as the hub page shows it'}"
        for one in files
    ]


def _check_files(wanted: Repository) -> None:
    """Compare every needed file with its published hash, or with the hash that the cache calls it by."""
    for one in wanted.files:
        path = wanted.snapshot / one.name
        stored = path.resolve().name if path.is_symlink() else ""
        expected = one.sha256 or stored
        if _digest(path, len(expected)) not in ("", expected):
            raise BadDataError(
                f"is not the published file: its hash is not {expected}", file=path, remedy="delete it and fetch it"
            )


def _digest(path: Path, length: int) -> str:
    """Return the hash of a file that has so many digits: sha256, or the one by which git calls small files."""
    if length == 64:
        return sha256_of(path)
    if length == 40:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return ""
