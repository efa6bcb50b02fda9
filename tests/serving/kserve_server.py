"""A model server that is not ours: kserve with a SavedModel.

    python kserve_server.py NAME SAVED_MODEL --http_port 8080

It runs in an environment of its own (`make test-serving`), and speaks the REST predict protocol by rows.
"""

import base64
import sys

import kserve
import tensorflow as tf


class SavedModel(kserve.Model):
    """A SavedModel, asked by the names of its signatures."""

    def __init__(self, name, path):
        super().__init__(name)
        self.model = tf.saved_model.load(path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        function = self.model.signatures[payload.get("signature_name", "serving_default")]
        rows = payload["instances"]
        specs = function.structured_input_signature[1]
        answer = function(
            **{k: tf.constant([decoded(row[k]) for row in rows], spec.dtype) for k, spec in specs.items()}
        )
        columns = {key: tensor.numpy().tolist() for key, tensor in answer.items()}
        return {"predictions": [{k: encoded(v[row], k) for k, v in columns.items()} for row in range(len(rows))]}


def decoded(value):
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def encoded(value, key):
    if isinstance(value, list):
        return [encoded(item, key) for item in value]
    if not isinstance(value, bytes):
        return value
    return {"b64": base64.b64encode(value).decode()} if key.endswith("_bytes") else value.decode()


if __name__ == "__main__":
    name, path = sys.argv[1:3]
    sys.argv[1:3] = []
    arguments, _ = kserve.model_server.parser.parse_known_args()
    server = kserve.ModelServer(http_port=arguments.http_port, enable_grpc=False, workers=1)
    server.start([SavedModel(name, path)])
