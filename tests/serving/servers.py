"""Small servers that speak as TF Serving does, by its documents, over a `ServedModel`: REST and gRPC."""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import re
import threading
import time

import numpy as np

from mmkeras.export.messages import message, to_array, to_tensor

NAME, VERSION, LABEL = "small", 3, "stable"
_ADDRESS = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(:predict|/metadata)?")
_JSON_TYPES = {
    "float32": "DT_FLOAT",
    "int32": "DT_INT32",
    "int64": "DT_INT64",
    "bool": "DT_BOOL",
    "string": "DT_STRING",
}


class Refused(Exception):
    """An error that a server answers with: a status of HTTP, and words."""


@contextlib.contextmanager
def rest_server(model, *, metadata=True, delay=0.0):
    """Serve over HTTP; gives the address, and the list of requests as they came."""
    came = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, asked):
            came.append((self.path, asked))
            time.sleep(delay)
            try:
                status, answer = 200, _rest_answer(model, self.path, asked, metadata)
            except Refused as error:
                status, answer = error.args[0], {"error": error.args[1]}
            # Strings that are no UTF-8 go out as they are.
            data = json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogateescape")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(data)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _rest_answer(model, path, asked, metadata):
    place = _ADDRESS.fullmatch(path)
    if not place:
        raise Refused(400, f"Malformed request: {path}")
    name, version, label, kind = place.groups()
    if name != NAME or (version or str(VERSION)) != str(VERSION) or (label or LABEL) != LABEL:
        raise Refused(404, f"Servable not found for request: Specific({name}, {version or label})")
    if kind is None:
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(VERSION), "state": "AVAILABLE", "status": status}]}
    if kind == "/metadata":
        if not metadata:
            raise Refused(404, "Not Found")
        return {"metadata": {"signature_def": {"signature_def": _json_signatures(model)}}}
    signature = model.signatures.get(asked["signature_name"])
    if signature is None:
        raise Refused(400, f"Serving signature name: {asked['signature_name']!r} not found in signature def")
    columns = asked.get("inputs")
    if columns is None:
        columns = {key: [row[key] for row in asked["instances"]] for key in asked["instances"][0]}
    try:
        inputs = {key: _tensor(value, signature.inputs[key][0]) for key, value in columns.items()}
        answer = model.run(asked["signature_name"], inputs)
    except (ValueError, RuntimeError) as error:
        raise Refused(400, str(error)) from None
    values = {key: _json(array.tolist(), key) for key, array in answer.items()}
    if "inputs" in asked:
        return {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return {"predictions": rows if len(values) > 1 else [next(iter(row.values())) for row in rows]}


def _tensor(value, dtype):
    """A tensor of a type from JSON, as strict as TF Serving is."""

    def leaf(value):
        if isinstance(value, list):
            return [leaf(item) for item in value]
        if dtype == "string" and isinstance(value, dict) and set(value) == {"b64"}:
            return base64.b64decode(value["b64"], validate=True)
        wanted = {"string": str, "bool": bool, "int32": int, "int64": int, "float32": (int, float)}[dtype]
        if not isinstance(value, wanted) or (dtype != "bool" and isinstance(value, bool)):
            raise ValueError(f"JSON Value: {value} is not of expected type: {dtype}")
        return value

    value = leaf(value)
    return value if dtype == "string" else np.array(value, dtype)


def _json(value, key):
    if isinstance(value, list):
        return [_json(item, key) for item in value]
    if not isinstance(value, bytes):
        return value
    if key.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "surrogateescape")


def _json_signatures(model):
    def tensor(dtype, shape):
        sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in shape]
        return {"dtype": _JSON_TYPES[dtype], "tensor_shape": {"dim": sizes, "unknown_rank": False}, "name": "x:0"}

    return {
        name: {
            side: {key: tensor(*spec) for key, spec in getattr(signature, side).items()}
            for side in ("inputs", "outputs")
        }
        for name, signature in model.signatures.items()
    } | {"__saved_model_init_op": {"inputs": {}, "outputs": {}}}


@contextlib.contextmanager
def grpc_server(model, *, delay=0.0):
    """Serve over gRPC; gives the target."""
    import grpc

    def refuse(context, spec):
        right = spec.name == NAME and spec.version.value in (0, VERSION) and spec.version_label in ("", LABEL)
        if not right:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")

    def predict(request, context):
        refuse(context, request.model_spec)
        time.sleep(delay)
        inputs = {key: to_array(tensor) for key, tensor in request.inputs.items()}
        try:
            outputs = model.run(request.model_spec.signature_name, inputs)
        except (ValueError, RuntimeError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = message("tensorflow.serving.PredictResponse")(model_spec=request.model_spec)
        for key, array in outputs.items():
            answer.outputs[key].CopyFrom(to_tensor(array))
        return answer

    def status(request, context):
        refuse(context, request.model_spec)
        answer = message("tensorflow.serving.GetModelStatusResponse")()
        answer.model_version_status.add(version=VERSION, state=30)
        failed = answer.model_version_status.add(version=VERSION + 1, state=50)
        failed.status.error_message = "no memory"
        return answer

    def handler(service, method, function, request, response):
        made = grpc.unary_unary_rpc_method_handler(
            function,
            request_deserializer=message(f"tensorflow.serving.{request}").FromString,
            response_serializer=message(f"tensorflow.serving.{response}").SerializeToString,
        )
        return grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", {method: made})

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    handlers = [
        handler("PredictionService", "Predict", predict, "PredictRequest", "PredictResponse"),
        handler("ModelService", "GetModelStatus", status, "GetModelStatusRequest", "GetModelStatusResponse"),
    ]
    server.add_generic_rpc_handlers(handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
