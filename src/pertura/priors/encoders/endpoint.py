"""Vectors of texts from a server that answers `/v1/embeddings` as OpenAI's does."""

import http.client
import json
import math
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Float32

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.encoders.vector_cache import Vector, VectorCache, cache_folder, stacked

OPENAI = "https://api.openai.com/v1"
URL_VARIABLE = "OPENAI_BASE_URL"
KEY_VARIABLE = "OPENAI_API_KEY"
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LARGEST_ANSWER = 512 * 2**20
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried, how long one may take, and how long to wait before the second; waits double."""

    attempts: int = 7
    seconds: float = 120.0
    first_wait: float = 1.0
    longest_wait: float = 60.0


class EndpointEncoder:
    """Encodes texts with a model behind an OpenAI-compatible endpoint; standard library only.

    Each vector is kept on disk as soon as it has arrived, by endpoint, model and text: after a kill, and in every later
    run, only texts that are new are sent. The key is read from the environment variable `key_variable` and goes nowhere
    but to `url`, encrypted unless that is this machine.
    """

    def __init__(
        self,
        model: str,
        url: str = "",
        *,
        key_variable: str = KEY_VARIABLE,
        batch: int = 64,
        patience: Patience = Patience(),
        cache: Path | None = None,
    ) -> None:
        self.model, self.batch, self.patience, self.key_variable = model, batch, patience, key_variable
        base = (url or os.environ.get(URL_VARIABLE, "") or OPENAI).rstrip("/")
        self.url = base if base.endswith("/embeddings") else f"{base}/embeddings"
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(f"{base.split('@')[-1]}: not the address of an endpoint; it begins with https://")
        self.name = f"endpoint:{model}@{parts.hostname}"
        self.cache = VectorCache(cache or cache_folder(), f"{self.url} {model}")
        self.wait: Callable[[float], None] = time.sleep

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Return a row for each text.

        Refused keys and servers that stay out of reach raise `MissingError`; answers that do not fit the question
        `BadDataError`.
        """
        if any(not one.strip() for one in texts):
            raise BadDataError(f"text {[not one.strip() for one in texts].index(True)} is empty", place=self.name)
        vectors = self.cache.vectors(dict.fromkeys(texts))
        for asked in _batches([one for one in dict.fromkeys(texts) if one not in vectors], self.batch):
            for text, vector in zip(asked, self._asked(asked)):
                self.cache.keep(text, vector)
                vectors[text] = vector
        return stacked(texts, vectors)

    def _asked(self, texts: list[str]) -> list[Vector]:
        """Return the vectors of one request, tried again while that has a chance."""
        body = json.dumps({"model": self.model, "input": texts, "encoding_format": "float"}).encode()
        wait, told = self.patience.first_wait, ""
        for attempt in range(self.patience.attempts):
            if attempt:
                self.wait(min(wait, self.patience.longest_wait))
                wait *= 2
            try:
                return _vectors(self._answer(body), len(texts), self.name)
            except urllib.error.HTTPError as error:
                told = f"{error.code} {self._said(error)}"
                if error.code not in AGAIN:
                    raise self._refusal(error.code, told) from error
                wait = max(wait, _seconds(error.headers.get("Retry-After", "")))
            except (TimeoutError, urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
                told = str(getattr(error, "reason", error)) or type(error).__name__
                if _is_hopeless(error):
                    raise MissingError(f"{self.name} cannot be reached ({told})") from error
        remedy = "what has arrived is kept: run the same again later"
        raise MissingError(f"{self.name}: no answer after {self.patience.attempts} attempts ({told}); {remedy}")

    def _answer(self, body: bytes) -> bytes:
        """Return the bytes of one answer; one that breaks off raises `http.client.IncompleteRead`."""
        request = urllib.request.Request(self.url, data=body, headers=self._headers(), method="POST")
        with _opener().open(request, timeout=self.patience.seconds) as answer:
            content: bytes = answer.read(LARGEST_ANSWER + 1)
            missing = int(answer.headers.get("Content-Length", 0)) - len(content)
        if len(content) > LARGEST_ANSWER:
            raise BadDataError(f"an answer of more than {LARGEST_ANSWER} bytes", place=self.name)
        if missing > 0:
            raise http.client.IncompleteRead(content, missing)
        return content

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            return headers
        parts = urlsplit(self.url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            problem = f"{self.name}: the key in {self.key_variable} would be sent unencrypted"
            raise UsageError(f"{problem}; use https, or unset the variable if the server needs no key")
        if not key.isascii() or not key.isprintable():
            raise UsageError(f"{self.key_variable} holds no key: it has characters that a header cannot have")
        return {**headers, "Authorization": f"Bearer {key}"}

    def _refusal(self, code: int, told: str) -> MissingError | BadDataError:
        """Return the error of an answer that would stay the same."""
        if code in (401, 403):
            return MissingError(f"{self.name} refused the request ({told}); is the key in {self.key_variable} right?")
        if code == 404:
            return MissingError(f"{self.name} has no such model or address ({told})")
        return BadDataError(f"the request was refused ({told})", place=self.name)

    def _said(self, error: urllib.error.HTTPError) -> str:
        """Return what a server said of an error, short, printable and without the key."""
        try:
            raw = error.read(2000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            raw = str(error.reason)
        key = os.environ.get(self.key_variable, "").strip()
        said = raw.replace(key, "(key)") if key else raw
        return "".join(one if one.isprintable() else " " for one in said)[:300].strip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the key elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def _batches(texts: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _seconds(asked: str) -> float:
    """Return the seconds a server asks to wait, 0 where it does not say in seconds."""
    try:
        seconds = float(asked)
    except ValueError:  # nothing, or a date: the doubling waits do
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _is_hopeless(error: Exception) -> bool:
    """Return whether a connection would fail in the same way again: no such host, or one that is not who it claims."""
    return isinstance(getattr(error, "reason", None), socket.gaierror | ssl.SSLCertVerificationError)


def _vectors(content: bytes, count: int, name: str) -> list[Vector]:
    """Return the vectors of an answer in the order of the question; each is there once, and all are of one width."""
    try:
        listed = json.loads(content)["data"]
        with np.errstate(over="ignore"):  # refused below
            by_place = {one["index"]: np.asarray(one["embedding"], dtype=np.float32) for one in listed}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        problem = f"the answer is not a list of embeddings ({type(error).__name__})"
        raise BadDataError(problem, place=name) from error
    if len(listed) != count or set(by_place) != set(range(count)):
        raise BadDataError(f"{len(listed)} vectors for {count} texts, or not one for each", place=name)
    rows = [by_place[place] for place in range(count)]
    shapes = sorted({one.shape for one in rows})
    if len(shapes) > 1 or len(shapes[0]) != 1 or shapes[0][0] == 0:
        raise BadDataError(f"vectors of shapes {', '.join(map(str, shapes[:3]))}", place=name)
    if not all(np.isfinite(one).all() for one in rows):
        raise BadDataError("numbers that are not finite", place=name)
    return rows
