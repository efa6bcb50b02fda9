"""Ask a model server that is not ours, and compare its answers with those of TensorFlow's C library.

    python -m tests.serving.ask_kserve --server .venv-serving/bin/python [SAVED_MODEL]

Without a SavedModel it makes a small one. One that is given is asked what its warm-up requests ask. The last line
printed is JSON.
"""

import argparse
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

from mmkeras.export.c_api import ServedModel
from mmkeras.export.client import RestClient
from mmkeras.export.messages import read_warm_up
from tests.serving import small_model

NAME = "asked"
# Seconds that the server may take to import TensorFlow and load the model.
PATIENCE = 180


def main():
    parser = argparse.ArgumentParser(description="Compare a kserve server with TensorFlow's C library.")
    parser.add_argument("model", nargs="?", help="a SavedModel with warm-up requests")
    parser.add_argument("--server", required=True, help="the Python that has kserve")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.model:
            path = pathlib.Path(given.model)
            requests = read_warm_up(path / "assets.extra" / "tf_serving_warmup_requests")
        else:
            path, requests = small_model.write(pathlib.Path(folder) / "small" / "1"), small_model.requests()
        with open(pathlib.Path(folder) / "log.txt", "w+") as log:
            port = free_port()
            script = str(pathlib.Path(__file__).with_name("kserve_server.py"))
            command = [given.server, script, NAME, str(path), "--http_port", str(port)]
            server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                client = RestClient(f"http://127.0.0.1:{port}", NAME, rows=True)
                wait(client, server, log)
                report = compare(client, ServedModel(path), requests)
            finally:
                server.terminate()
                server.wait(30)
    print(json.dumps({"server": "kserve", "requests": report}))
    sys.exit(0 if all(row["equal"] for row in report) else 1)


def wait(client, server, log):
    """Return when the server is ready."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if client.status() == {None: "AVAILABLE"}:
                return
        except ConnectionError:
            time.sleep(0.5)
        if server.poll() is not None:
            break
    log.seek(0)
    sys.exit(f"The server did not start:\n{log.read()[-4000:]}")


def compare(client, model, requests):
    """Ask both; a report of each request."""
    report = []
    for signature, inputs in requests:
        expected = model.run(signature, inputs)
        start = time.perf_counter()
        found = client.predict(inputs, signature)
        row = {"signature": signature, "milliseconds": round(1000 * (time.perf_counter() - start), 1)}
        row["difference"] = {
            key: difference(expected[key], named(found, key, len(expected))) for key in sorted(expected)
        }
        row["equal"] = len(found) == len(expected) and all(value <= 1e-4 for value in row["difference"].values())
        report.append(row)
        print(f"{signature:24} {'equal' if row['equal'] else 'NOT EQUAL':10} {row['milliseconds']} ms")
    return report


def named(found, key, count):
    """An output; a server without metadata may not say the name of an only one."""
    return next(iter(found.values())) if count == 1 else found[key]


def difference(expected, found):
    """Largest relative difference of numbers; 1 where shapes or strings differ."""
    if expected.shape != found.shape:
        return 1.0
    if expected.dtype.kind in "Ob":
        return float((expected != found).any())
    if not expected.size:
        return 0.0
    scale = max(1e-6, float(np.abs(expected.astype("float64")).max()))
    return float(np.abs(expected.astype("float64") - found.astype("float64")).max()) / scale


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


if __name__ == "__main__":
    main()
