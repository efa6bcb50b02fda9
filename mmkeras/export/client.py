"""Ask a model server, TF Serving or one that speaks like it, over HTTP or gRPC; TensorFlow is not needed."""

import abc
import base64
import functools
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from mmkeras.export.messages import fill_model, message, predict_request, to_array
from mmkeras.export.packing import strings
from mmkeras.export.served_signatures import Signature

# Numbers of ModelVersionStatus.State.
_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
# What exporters call an output without a name.
_NAMELESS = "output_0"


class _Client(abc.ABC):
    """What both clients share: which model is meant, and records in place of arrays."""

    def __init__(self, model, version, label, timeout, encode):
        for name, value in (("model", model), ("label", "none" if label is None else label)):
            if not value or set(value) & set("/:"):
                raise ValueError(f"`{name}` must be a name without '/' and ':'. Received: {value!r}")
        if version is not None and label is not None:
            raise ValueError(f"Give `version` or `label`, not both. Received: version={version}, label={label!r}")
        self.model = model
        self.version = version
        self.label = label
        self.timeout = timeout
        self.encode = encode

    @abc.abstractmethod
    def predict(self, inputs: Mapping[str, Any], signature: str = "serving_default") -> dict[str, np.ndarray]:
        """Ask with arrays; see the clients."""

    def ask(self, records: Mapping | Sequence[Mapping], signature: str = "serving_default") -> dict[str, np.ndarray]:
        """Ask with raw records, which `encode` turns into arrays.

        Args:
            records: list of records, or one.
            signature: name of the signature.

        Returns:
            Dict of key -> array, as `predict` gives it.
        """
        if self.encode is None:
            raise ValueError("A client that is asked with records needs `encode`. Received: encode=None")
        records = [records] if isinstance(records, Mapping) else list(records)
        return self.predict(self.encode(records, signature), signature)

    def _refusal(self, kind, words):
        """An error that says what the server says."""
        if kind == "unknown":
            which = f" version {self.version}" if self.version is not None else f" {self.label}" if self.label else ""
            return ValueError(f"{self} must have the model {self.model!r}{which}. It says: {words}")
        if kind == "late":
            return TimeoutError(f"{self} must answer within {self.timeout} seconds (`timeout`). Received: nothing")
        if kind == "absent":
            return ConnectionError(f"{self} must be there and listen. Received: {words}")
        return RuntimeError(f"{self} could not answer for the model {self.model!r}. It says: {words}")


@final
class RestClient(_Client):
    """Ask a model over HTTP, by the protocol of TF Serving.

    Bytes travel in base64, text and numbers as they are. Types and names that JSON leaves out of an answer are taken
    from the metadata of the model, where the server gives it (TF Serving does).

    Args:
        url: the server, such as `"http://localhost:8501"`.
        model: name of the model.
        version: number of its version; None leaves the choice to the server.
        label: label of its version instead.
        timeout: seconds to wait for an answer.
        rows: whether inputs go as a list of samples (`instances`) rather than a dict of arrays (`inputs`), for servers
            that know only that, such as kserve.
        encode: function of (list of records, name of the signature) that gives the dict of arrays, for `ask`.

    Example:

    >>> client = RestClient("http://localhost:8501", "captioner", label="stable")
    >>> print(client)
    The server at http://localhost:8501

    With the server there:

    ```
    client.predict({"image_bytes": [open("dog.jpg", "rb").read()]}, "generate")["text"]
    ```
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
        rows: bool = False,
        encode: Callable[[list, str], Mapping[str, Any]] | None = None,
    ):
        super().__init__(model, version, label, timeout, encode)
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"`url` must begin with http:// or https://. Received: {url!r}")
        self.url = url.rstrip("/")
        self.rows = rows

    def __str__(self):
        return f"The server at {self.url}"

    def predict(self, inputs: Mapping[str, Any], signature: str = "serving_default") -> dict[str, np.ndarray]:
        """Ask for an answer.

        Args:
            inputs: dict of key -> array or list of numbers, bool, text or bytes.
            signature: name of the signature.

        Returns:
            Dict of key -> array; strings are object arrays of bytes. Where the server gives no metadata, numbers have
            NumPy's types, and an only output may be called `output_0`.
        """
        columns = {key: _plain(value) for key, value in inputs.items()}
        if self.rows:
            lengths = {key: len(value) if isinstance(value, list) else None for key, value in columns.items()}
            if len(set(lengths.values())) != 1 or None in lengths.values():
                raise ValueError(f"Inputs that go as rows must have as many rows each. Received: {lengths}")
            sent = {"instances": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}
        else:
            sent = {"inputs": columns}
        answer = self._get(":predict", {"signature_name": signature, **sent})
        try:
            return self._arrays(answer["predictions" if self.rows else "outputs"], signature)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise self._refusal("other", f"what is not the answer of a signature: {str(answer)[:200]}") from error

    def status(self) -> dict[int | None, str]:
        """Ask which versions there are.

        Returns:
            Dict of version -> state: `"AVAILABLE"` where it answers, `"START"`, `"LOADING"`, `"UNLOADING"` or `"END"`,
            followed by the error if there was one. None is the version where a server has no versions.
        """
        answer = self._get("")
        if "model_version_status" not in answer:
            return {None: "AVAILABLE" if answer.get("ready") in (True, "True") else "LOADING"}
        found = {}
        for version in answer["model_version_status"]:
            found[int(version["version"])] = _state(version["state"], version.get("status", {}).get("error_message"))
        return found

    def metadata(self) -> dict[str, Signature]:
        """Ask what the model takes and gives.

        Returns:
            Dict of name -> `Signature`.
        """
        definitions = self._get("/metadata").get("metadata", {}).get("signature_def", {}).get("signature_def", {})
        return {
            name: Signature(*({k: _spec(v) for k, v in definition.get(s, {}).items()} for s in ("inputs", "outputs")))
            for name, definition in definitions.items()
            if not name.startswith("__saved_model")
        }

    @functools.cached_property
    def _known(self):
        try:
            return self.metadata()
        except (ValueError, RuntimeError, OSError):
            return {}

    def _arrays(self, answer, signature):
        """An answer as a dict of arrays."""
        known = self._known.get(signature, Signature({}, {})).outputs
        if self.rows and isinstance(answer, list) and answer and _is_named(answer[0]):
            answer = {key: [row[key] for row in answer] for key in answer[0]}
        if not _is_named(answer):
            answer = {next(iter(known)) if len(known) == 1 else _NAMELESS: answer}
        return {key: _array(value, known.get(key, (None, None))[0]) for key, value in answer.items()}

    def _get(self, path, body=None):
        """Send a request about the model, and return the answer; errors are those of `_refusal`."""
        which = (
            f"/versions/{self.version}" if self.version is not None else f"/labels/{self.label}" if self.label else ""
        )
        url = f"{self.url}/v1/models/{urllib.parse.quote(self.model + which)}{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                data = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal("unknown" if error.code == 404 else "other", _words(error)) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise self._refusal("late" if isinstance(reason, TimeoutError) else "absent", reason) from error
        try:
            # What is no UTF-8 in strings comes back as the bytes that it was.
            answer = json.loads(data.decode("utf-8", "surrogateescape"))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._refusal("other", f"what is no JSON object: {data[:200]!r}")
        return answer


@final
class GrpcClient(_Client):
    """Ask a model over gRPC, where arrays travel as they are, not as text; for pictures and other large inputs.

    Args:
        target: the server, such as `"localhost:8500"`.
        model: name of the model.
        version: number of its version; None leaves the choice to the server.
        label: label of its version instead.
        timeout: seconds to wait for an answer.
        encode: function of (list of records, name of the signature) that gives the dict of arrays, for `ask`.

    Example:

    >>> with GrpcClient("localhost:8500", "captioner") as client:
    ...     print(client)
    The server at localhost:8500

    With the server there:

    ```
    client.predict({"image_bytes": [open("dog.jpg", "rb").read()]}, "generate")["text"]
    ```
    """

    def __init__(
        self,
        target: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
        encode: Callable[[list, str], Mapping[str, Any]] | None = None,
    ):
        super().__init__(model, version, label, timeout, encode)
        if "://" in target:
            raise ValueError(f"`target` must be a host and a port, such as 'localhost:8500'. Received: {target!r}")
        try:
            import grpc
        except ImportError as error:
            raise ImportError(
                "A gRPC client needs grpcio: pip install 'mmkeras[serving]'. Received: no grpcio"
            ) from error

        self.target = target
        # Answers may have any size.
        self._channel = grpc.insecure_channel(target, [("grpc.max_receive_message_length", -1)])

    def __str__(self):
        return f"The server at {self.target}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def predict(self, inputs: Mapping[str, Any], signature: str = "serving_default") -> dict[str, np.ndarray]:
        """Ask for an answer.

        Args:
            inputs: dict of key -> array of the signature's type; numbers in lists become int32 and float32.
            signature: name of the signature.

        Returns:
            Dict of key -> array; strings are object arrays of bytes.
        """
        request = predict_request(inputs, signature, name=self.model, version=self.version, label=self.label)
        answer = self._call("PredictionService/Predict", request, "PredictResponse")
        return {key: to_array(tensor) for key, tensor in answer.outputs.items()}

    def status(self) -> dict[int, str]:
        """Ask which versions there are.

        Returns:
            Dict of version -> state: `"AVAILABLE"` where it answers, `"START"`, `"LOADING"`, `"UNLOADING"` or `"END"`,
            followed by the error if there was one.
        """
        request = message("tensorflow.serving.GetModelStatusRequest")()
        fill_model(request.model_spec, self.model, self.version, self.label)
        answer = self._call("ModelService/GetModelStatus", request, "GetModelStatusResponse")
        return {
            version.version: _state(_STATES.get(version.state, str(version.state)), version.status.error_message)
            for version in answer.model_version_status
        }

    def _call(self, method, request, answer):
        import grpc

        call = self._channel.unary_unary(
            f"/tensorflow.serving.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message(f"tensorflow.serving.{answer}").FromString,
        )
        try:
            return call(request, timeout=self.timeout)
        except grpc.RpcError as error:
            codes = grpc.StatusCode
            kinds = {codes.NOT_FOUND: "unknown", codes.DEADLINE_EXCEEDED: "late", codes.UNAVAILABLE: "absent"}
            raise self._refusal(kinds.get(error.code(), "other"), error.details()) from error


def _plain(value):
    """An array or list as JSON has it; bytes in base64."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "biuf":
            return value.tolist()
        value = value.tolist()
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if not isinstance(value, str | bool | int | float):
        raise ValueError(f"Inputs must be numbers, bool, text or bytes. Received: {type(value).__name__} {value!r:.80}")
    return value


def _array(value, dtype):
    """A value of JSON as an array."""
    first = value
    while isinstance(first, list) and first:
        first = first[0]
    if dtype == "string" or isinstance(first, str | dict):
        return strings(_decoded(value))
    return np.array(value, dtype)


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode("utf-8", "surrogateescape")


def _is_named(answer):
    """Whether a part of an answer is a dict of outputs, not one string in base64."""
    return isinstance(answer, dict) and set(answer) != {"b64"}


def _spec(tensor):
    """Dtype name and shape of a TensorInfo in JSON."""
    names = {"float": "float32", "double": "float64", "half": "float16"}
    dtype = tensor["dtype"].removeprefix("DT_").lower()
    shape = tensor.get("tensor_shape", {})
    sizes = tuple(None if int(axis["size"]) < 0 else int(axis["size"]) for axis in shape.get("dim", ()))
    return names.get(dtype, dtype), None if shape.get("unknown_rank") else sizes


def _state(state, words):
    return f"{state}: {words}" if words else state


def _words(error):
    """What an HTTP error says: TF Serving's `error`, or its text."""
    data = error.read().decode(errors="replace")
    try:
        return json.loads(data)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}. {data[:500]}".strip()
