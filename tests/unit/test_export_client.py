"""Clients ask servers that speak as TF Serving does, and get what the model answers."""

import http.server
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from mmkeras.export.c_api import ServedModel
from mmkeras.export.client import GrpcClient, RestClient
from tests.serving import small_model
from tests.serving.servers import LABEL, NAME, VERSION, grpc_server, rest_server

REQUESTS = dict(small_model.requests())


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("tensorflow", exc_type=ImportError)
    with ServedModel(small_model.write(tmp_path_factory.mktemp("small") / "1")) as model:
        yield model


@pytest.fixture(scope="module")
def rest(model):
    with rest_server(model) as (url, came):
        yield url, came


@pytest.fixture(scope="module")
def grpc_target(model):
    with grpc_server(model) as target:
        yield target


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def assert_same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("signature", REQUESTS)
def test_rest_answers_as_the_model(rest, model, signature, rows):
    found = RestClient(rest[0], NAME, rows=rows).predict(REQUESTS[signature], signature)
    assert_same(found, model.run(signature, REQUESTS[signature]))


@pytest.mark.parametrize("signature", REQUESTS)
def test_grpc_answers_as_the_model(grpc_target, model, signature):
    with GrpcClient(grpc_target, NAME) as client:
        assert_same(client.predict(REQUESTS[signature], signature), model.run(signature, REQUESTS[signature]))


def test_lists(rest, grpc_target):
    inputs = {"x": [[0.5, 1, 2]], "count": [4], "flag": [False]}
    with GrpcClient(grpc_target, NAME) as grpc_client:
        for client in (RestClient(f"{rest[0]}/", NAME), grpc_client):
            found = client.predict(inputs)
            assert found["count"].tolist() == [5]
            assert found["scores"].tolist() == [[0.0, 0.0]]
            assert client.predict({"text": [["ä", b"b"]]}, "shout")["loud"].tolist() == [["ä".encode(), b"B"]]


def test_nothing_in_nothing_out(rest, grpc_target):
    with GrpcClient(grpc_target, NAME) as grpc_client:
        for client in (RestClient(rest[0], NAME), grpc_client):
            found = client.predict(dict.fromkeys(("text", "image_bytes"), np.empty(0, object)), "say")
            assert {key: value.shape for key, value in found.items()} == dict.fromkeys(found, (0,))
            assert {key: value.dtype.name for key, value in found.items()} == {
                "text": "object",
                "twice_bytes": "object",
                "same_bytes": "object",
                "word": "int64",
            }


def test_what_rest_sends(rest):
    RestClient(rest[0], NAME).predict({"text": ["ä", "x"], "image_bytes": [b"\xff", np.bytes_(b"b")]}, "say")
    posted = [request for request in rest[1] if request[1]][-1]
    assert posted == (
        f"/v1/models/{NAME}:predict",
        {"signature_name": "say", "inputs": {"text": ["ä", "x"], "image_bytes": [{"b64": "/w=="}, {"b64": "Yg=="}]}},
    )
    RestClient(rest[0], NAME, version=VERSION, rows=True).predict({"text": [["a"], [b"b"]]}, "shout")
    posted = [request for request in rest[1] if request[1]][-1]
    assert posted == (
        f"/v1/models/{NAME}/versions/{VERSION}:predict",
        {"signature_name": "shout", "instances": [{"text": ["a"]}, {"text": [{"b64": "Yg=="}]}]},
    )
    RestClient(rest[0], NAME, label=LABEL).predict({"text": [["a"]]}, "shout")
    assert f"/v1/models/{NAME}/labels/{LABEL}:predict" in [path for path, _ in rest[1]]


def test_text_that_is_no_text(rest):
    """A server sends strings as they are; those that are no UTF-8 come back whole."""
    found = RestClient(rest[0], NAME).predict({"text": [b"\xff\xfe"], "image_bytes": [b""]}, "say")
    assert found["text"].tolist() == [b"a \xff\xfe"]


def test_status(rest, grpc_target):
    assert RestClient(rest[0], NAME).status() == {VERSION: "AVAILABLE"}
    assert RestClient(rest[0], NAME, version=VERSION).status() == {VERSION: "AVAILABLE"}
    for chosen in ({}, {"version": VERSION}, {"label": LABEL}):
        with GrpcClient(grpc_target, NAME, **chosen) as client:
            assert client.status() == {VERSION: "AVAILABLE", VERSION + 1: "END: no memory"}


def test_metadata(rest, model):
    assert RestClient(rest[0], NAME).metadata() == model.signatures


def test_a_server_without_metadata(model):
    with rest_server(model, metadata=False) as (url, _):
        client = RestClient(url, NAME)
        found = client.predict(REQUESTS["serving_default"])
        np.testing.assert_array_equal(
            found["scores"], model.run("serving_default", REQUESTS["serving_default"])["scores"]
        )
        assert found["flag"].dtype == bool
        assert client.predict({"text": [["a"]]}, "shout")["output_0"].tolist() == [[b"A"]]
        with pytest.raises(ValueError, match="Not Found"):
            client.metadata()


def test_records(rest, grpc_target):
    def encode(records, signature):
        assert signature == "shout"
        return {"text": [[record["text"]] for record in records]}

    with GrpcClient(grpc_target, NAME, encode=encode) as grpc_client:
        for client in (RestClient(rest[0], NAME, encode=encode), grpc_client):
            assert client.ask([{"text": "a"}, {"text": "b"}], "shout")["loud"].tolist() == [[b"A"], [b"B"]]
            assert client.ask({"text": "a"}, "shout")["loud"].tolist() == [[b"A"]]
    with pytest.raises(ValueError, match="needs `encode`"):
        RestClient(rest[0], NAME).ask([{"text": "a"}], "shout")


@pytest.mark.parametrize("chosen", [{"model": "other"}, {"version": 9}, {"label": "canary"}])
def test_a_model_that_is_not_there(rest, grpc_target, chosen):
    arguments = {"model": NAME, **chosen}
    with GrpcClient(grpc_target, **arguments) as grpc_client:
        for client in (RestClient(rest[0], **arguments), grpc_client):
            with pytest.raises(ValueError, match=r"The server at .* must have the model .*Servable not found"):
                client.predict(REQUESTS["shout"], "shout")


def test_a_request_that_the_model_refuses(rest, grpc_target):
    with GrpcClient(grpc_target, NAME) as grpc_client:
        for client in (RestClient(rest[0], NAME), grpc_client):
            with pytest.raises(
                RuntimeError, match=r"could not answer for the model 'small'. It says: .*at most 4 words"
            ):
                client.predict({"text": [["a"] * 5]}, "shout")
    with pytest.raises(RuntimeError, match="'speak' not found in signature def"):
        RestClient(rest[0], NAME).predict({}, "speak")
    with pytest.raises(RuntimeError, match=r"1\.5 is not of expected type: int32"):
        RestClient(rest[0], NAME).predict({"x": [[1, 2, 3]], "count": [1.5], "flag": [True]})


ALONE = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "jax"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from mmkeras.export.client import GrpcClient, RestClient
for client in (RestClient(sys.argv[1], "small"), GrpcClient(sys.argv[2], "small")):
    print(client.predict({"text": [["a dog"]]}, "shout")["loud"].tolist())
"""


def test_neither_tensorflow_nor_keras(rest, grpc_target):
    command = [sys.executable, "-c", ALONE, rest[0], grpc_target]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    assert child.stdout.splitlines() == ["[[b'A DOG']]"] * 2, child.stderr


def test_no_server():
    port = free_port()
    with GrpcClient(f"127.0.0.1:{port}", NAME) as grpc_client:
        for client in (RestClient(f"http://127.0.0.1:{port}", NAME), grpc_client):
            with pytest.raises(
                ConnectionError, match=rf"The server at .*:{port} must be there and listen. Received: .*"
            ):
                client.status()


def test_a_slow_server(model):
    with (
        rest_server(model, delay=0.3) as (url, _),
        pytest.raises(TimeoutError, match=r"within 0.1 seconds \(`timeout`\)"),
    ):
        RestClient(url, NAME, timeout=0.1).status()
    with (
        grpc_server(model, delay=0.3) as target,
        GrpcClient(target, NAME, timeout=0.1) as client,
        pytest.raises(TimeoutError, match=r"0\.1 seconds"),
    ):
        client.predict(REQUESTS["shout"], "shout")


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (200, b"<html>", RuntimeError, "what is no JSON object: b'<html>'"),
        (200, b"[1]", RuntimeError, "what is no JSON object"),
        (200, b'{"predictions": [1]}', RuntimeError, "what is not the answer of a signature"),
        (200, b'{"outputs": {"a": {"b": 1}}}', RuntimeError, "what is not the answer of a signature"),
        (502, b"Bad gateway", RuntimeError, "It says: 502 Bad Gateway. Bad gateway"),
        # TF Serving's own escapes are not always JSON's.
        (400, rb"""{ "error": "no \'x\'" }""", RuntimeError, r"It says: 400 Bad Request. .*no "),
        (404, b"", ValueError, "must have the model 'small'. It says: 404 Not Found"),
    ],
)
def test_other_answers(status, body, error, message):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(error, match=message):
                RestClient(f"http://127.0.0.1:{server.server_port}", NAME).predict({"x": [1]})
        finally:
            server.shutdown()
            thread.join()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"`url` must begin with http:// or https://\. Received: 'localhost:8501'"):
        RestClient("localhost:8501", NAME)
    with pytest.raises(ValueError, match="`target` must be a host and a port"):
        GrpcClient("http://localhost:8500", NAME)
    for name in ("", "a/b", "a:b"):
        with pytest.raises(ValueError, match="`model` must be a name"):
            RestClient("http://localhost", name)
    with pytest.raises(ValueError, match="`label` must be a name"):
        RestClient("http://localhost", NAME, label="a/b")
    with pytest.raises(ValueError, match="`version` or `label`, not both"):
        RestClient("http://localhost", NAME, version=1, label="stable")
    with pytest.raises(ValueError, match=r"as many rows each\. Received: \{'a': 1, 'b': 2\}"):
        RestClient("http://localhost", NAME, rows=True).predict({"a": [1], "b": [1, 2]})
    with pytest.raises(ValueError, match=r"as many rows each\. Received: \{'a': None\}"):
        RestClient("http://localhost", NAME, rows=True).predict({"a": 1})
    with pytest.raises(ValueError, match=r"Inputs must be numbers, bool, text or bytes\. Received: complex"):
        RestClient("http://localhost", NAME).predict({"a": np.array([1j])})
