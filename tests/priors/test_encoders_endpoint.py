"""Vectors from an endpoint are those the server gave, asked for once, whatever fails in between.

A server on this machine answers as OpenAI's does, and fails in the ways that real ones fail.
"""

import hashlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.encoders import endpoint
from pertura.priors.encoders.endpoint import EndpointEncoder, Patience

WIDTH = 6
TEXTS = [f"gene {one}" for one in range(10)]
SECRET = "sk-secret-123"


def vector(text):
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[: 4 * WIDTH], dtype="<u4").astype(np.float32) / 2**32


EXPECTED = np.stack([vector(one) for one in TEXTS])


def good(texts):
    data = [{"index": place, "embedding": vector(one).tolist()} for place, one in enumerate(texts)]
    return 200, json.dumps({"data": data[::-1]}).encode(), {}


class Server(ThreadingHTTPServer):
    """Plays a list of failures, then answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.script, self.asked, self.keys, self.paths = [], [], [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """A client that went away is part of the tests."""


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        self.server.asked.append(texts)
        self.server.keys.append(self.headers.get("Authorization"))
        self.server.paths.append(self.path)
        answer = self.server.script.pop(0) if self.server.script else good
        if answer == "hang up":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if answer == "sleep":
            time.sleep(1.0)
            return
        code, body, headers = answer(texts) if callable(answer) else answer
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def encoder(server, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "*")

    def make(name="cache", **options):
        given = {"batch": 4, "patience": Patience(attempts=4, seconds=5.0), **options}
        made = EndpointEncoder("tiny", server.url, cache=tmp_path / name, **given)
        made.waits = []
        made.wait = made.waits.append
        return made

    return make


def test_the_rows_are_those_of_the_server_in_the_order_of_the_texts(encoder, server):
    found = encoder().encode(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, EXPECTED)
    assert [len(one) for one in server.asked] == [4, 4, 2]
    assert set(server.paths) == {"/v1/embeddings"}


def test_equal_texts_are_asked_for_once(encoder, server):
    found = encoder().encode(["a", "b", "a"])
    np.testing.assert_array_equal(found[0], found[2])
    assert server.asked == [["a", "b"]]


def test_what_is_kept_is_never_asked_again(encoder, server):
    encoder().encode(TEXTS[:5])
    server.asked.clear()
    np.testing.assert_array_equal(encoder().encode(TEXTS), EXPECTED)
    assert [one for asked in server.asked for one in asked] == TEXTS[5:]
    server.asked.clear()
    np.testing.assert_array_equal(encoder().encode(TEXTS[::-1]), EXPECTED[::-1])
    assert server.asked == []


def test_another_model_has_vectors_of_its_own(encoder, server, tmp_path):
    encoder().encode(["a"])
    EndpointEncoder("other", server.url, cache=tmp_path / "cache").encode(["a"])
    assert server.asked == [["a"], ["a"]]


def test_a_run_that_was_stopped_goes_on_with_the_same_bytes(encoder, server):
    made = encoder()
    server.script = [good, (400, b"stop", {})]
    with pytest.raises(BadDataError):
        made.encode(TEXTS)
    server.asked.clear()
    assert made.encode(TEXTS).tobytes() == encoder("whole").encode(TEXTS).tobytes()
    assert server.asked[0] == TEXTS[4:8]


def test_a_damaged_file_of_the_cache_is_asked_for_again(encoder, server, tmp_path):
    encoder().encode(TEXTS)
    files = sorted(one for one in (tmp_path / "cache").rglob("*") if one.is_file())
    assert len(files) == len(TEXTS)
    files[0].write_bytes(files[0].read_bytes()[:-1])
    files[1].write_bytes(b"")
    flipped = bytearray(files[2].read_bytes())
    flipped[40] ^= 1
    files[2].write_bytes(flipped)
    server.asked.clear()
    np.testing.assert_array_equal(encoder().encode(TEXTS), EXPECTED)
    assert sum(map(len, server.asked)) == 3


def test_busy_and_failing_servers_are_tried_again_with_doubling_waits(encoder, server):
    made = encoder()
    server.script = [(429, b"slow down", {}), (503, b"", {}), (500, b"", {})]
    np.testing.assert_array_equal(made.encode(["a"]), vector("a")[None])
    assert made.waits == [1.0, 2.0, 4.0]


def test_a_server_may_say_how_long_to_wait_within_reason(encoder, server):
    made = encoder()
    server.script = [
        (429, b"", {"Retry-After": "7"}),
        (429, b"", {"Retry-After": "99999"}),
        (429, b"", {"Retry-After": "soon"}),
    ]
    made.encode(["a"])
    assert made.waits == [7.0, 60.0, 60.0]


def test_lost_connections_and_answers_cut_short_are_tried_again(encoder, server):
    made = encoder()
    server.script = ["hang up", (200, b'{"data"', {"Content-Length": "500"}), "hang up"]
    np.testing.assert_array_equal(made.encode(["a"]), vector("a")[None])
    assert len(server.asked) == 4


def test_a_server_that_does_not_answer_in_time_is_tried_again(encoder, server):
    made = encoder(patience=Patience(attempts=2, seconds=0.1))
    server.script = ["sleep"]
    np.testing.assert_array_equal(made.encode(["a"]), vector("a")[None])


def test_patience_ends_and_what_arrived_stays(encoder, server):
    made = encoder()
    server.script = [good, *[(503, b"", {})] * 4]
    with pytest.raises(MissingError, match=r"no answer after 4 attempts \(503.*run the same again"):
        made.encode(TEXTS)
    server.asked.clear()
    np.testing.assert_array_equal(made.encode(TEXTS), EXPECTED)
    assert sum(map(len, server.asked)) == 6


def data(*vectors, places=None):
    listed = [{"index": place, "embedding": one} for place, one in zip(places or range(len(vectors)), vectors)]
    return 200, json.dumps({"data": listed}).encode(), {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (data([1.0]), "1 vectors for 2 texts"),
        (data([1.0], [2.0], [3.0]), "3 vectors for 2 texts"),
        (data([1.0], [2.0], places=[0, 0]), "not one for each"),
        (data([1.0], [2.0], places=[0, 2]), "not one for each"),
        (data([1.0], [2.0, 3.0]), "shapes"),
        (data([], []), "shapes"),
        (data([[1.0]], [[1.0]]), "shapes"),
        (data([1.0], [float("nan")]), "not finite"),
        (data([1.0], [1e300]), "not finite"),
        (data("text", [1.0]), "not a list of embeddings"),
        (data(None, [1.0]), "not finite|shapes"),
        ((200, b"<html>", {}), "not a list of embeddings"),
        ((200, b"[]", {}), "not a list of embeddings"),
        ((200, b'{"data": 3}', {}), "not a list of embeddings"),
        ((200, b"[" * 100_000, {}), "not a list of embeddings"),
    ],
)
def test_answers_that_do_not_fit_are_refused_and_not_kept(encoder, server, tmp_path, answer, said):
    server.script = [answer]
    with pytest.raises(BadDataError, match=said):
        encoder().encode(["a", "b"])
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]


def test_vectors_of_another_width_than_those_kept_are_refused(encoder, server):
    encoder().encode(["a"])
    server.script = [data([1.0])]
    with pytest.raises(BadDataError, match=r"of 1 and of 6 numbers"):
        encoder().encode(["a", "b"])


def test_the_key_is_sent_and_never_shown(encoder, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server.script = [(401, f"bad key {SECRET}\x1b[31m".encode(), {})]
    with pytest.raises(MissingError, match="OPENAI_API_KEY") as error:
        encoder().encode(["a"])
    assert SECRET not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert server.keys == [f"Bearer {SECRET}"]
    assert SECRET not in encoder().name


def test_no_key_sends_none(encoder, server):
    encoder().encode(["a"])
    assert server.keys == [None]


def test_a_key_goes_nowhere_unencrypted(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    made = EndpointEncoder("m", "http://192.0.2.1/v1", cache=tmp_path)
    with pytest.raises(UsageError, match="unencrypted"):
        made.encode(["a"])


def test_redirects_are_not_followed(encoder, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server.script = [(302, b"", {"Location": f"{server.url}/elsewhere"})]
    with pytest.raises(BadDataError, match="302"):
        encoder().encode(["a"])
    assert len(server.asked) == 1


def test_an_unknown_model_is_missing(encoder, server):
    server.script = [(404, b"no model", {})]
    with pytest.raises(MissingError, match="no model"):
        encoder().encode(["a"])


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/v1", "api.openai.com", "https://", "https://me:pw@x/v1"]
)
def test_addresses_that_are_none_are_refused(url):
    with pytest.raises(UsageError, match="not the address") as error:
        EndpointEncoder("m", url)
    assert "pw" not in str(error.value)


def test_a_host_that_does_not_exist_is_said_at_once(tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("no_proxy", "*")
    made = EndpointEncoder("m", "https://nowhere.invalid/v1", cache=tmp_path)
    made.wait = None
    with pytest.raises(MissingError, match="cannot be reached"):
        made.encode(["a"])


def test_empty_texts_are_named(encoder):
    with pytest.raises(BadDataError, match="text 1 is empty"):
        encoder().encode(["a", " "])


def test_an_answer_without_end_is_cut(encoder, monkeypatch):
    monkeypatch.setattr(endpoint, "LARGEST_ANSWER", 10)
    with pytest.raises(BadDataError, match="more than 10 bytes"):
        encoder().encode(["a"])


def test_the_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example/v1/")
    assert EndpointEncoder("m").url == "https://models.example/v1/embeddings"
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert EndpointEncoder("m").name == "endpoint:m@api.openai.com"
