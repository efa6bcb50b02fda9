"""TF Serving's messages without TensorFlow: what one side writes the other reads."""

import numpy as np
import pytest

from mmkeras.export.messages import (
    MAX_WARM_UP_REQUESTS,
    message,
    predict_request,
    read_warm_up,
    to_array,
    to_tensor,
    write_warm_up,
)
from mmkeras.export.served_signatures import NUMBERS


def example(name):
    """An array of a type, with its extremes."""
    if name == "string":
        return np.array([[b"", b"two\0\0"], [bytes(range(256)), "ä".encode()]], object)
    if name == "bool":
        return np.array([[True, False]])
    if name.startswith("complex"):
        return np.array([1.5 - 2j, np.nan], name)
    limits = np.finfo(name) if name.startswith("float") else np.iinfo(name)
    return np.array([[limits.min, 0, limits.max]], name)


def assert_same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NUMBERS)
def test_arrays_come_back(name):
    array = example(name)
    tensor = type(to_tensor(array)).FromString(to_tensor(array).SerializeToString())
    assert_same(to_array(tensor), array)
    assert_same(to_array(to_tensor(array[:0])), array[:0])
    assert_same(
        to_array(to_tensor(np.asarray(array.flat[0]).astype(array.dtype))),
        np.asarray(array.flat[0]).astype(array.dtype),
    )


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NUMBERS)
def test_tensorflow_reads_and_is_read(name):
    import tensorflow as tf

    array = example(name)
    theirs = tf.make_tensor_proto(array)
    assert_same(tf.make_ndarray(type(theirs).FromString(to_tensor(array).SerializeToString())), array)
    assert_same(to_array(message("tensorflow.TensorProto").FromString(theirs.SerializeToString())), array)


@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("float32", "float_val", [1.5, -2.0]),
        ("float64", "double_val", [1.5, -2.0]),
        ("int8", "int_val", [-128, 127]),
        ("uint16", "int_val", [0, 65535]),
        ("int32", "int_val", [-1, 2**31 - 1]),
        ("int64", "int64_val", [-(2**63), 1]),
        ("uint32", "uint32_val", [2**32 - 1, 1]),
        ("uint64", "uint64_val", [2**64 - 1, 1]),
        ("bool", "bool_val", [True, False]),
        ("string", "string_val", [b"a", b"\xff"]),
        ("float16", "half_val", [0x3E00, 0xC000]),
        ("complex64", "scomplex_val", [1.0, 2.0, 3.0, -4.0]),
        ("complex128", "dcomplex_val", [1.0, 2.0, 3.0, -4.0]),
    ],
)
def test_values_one_by_one(name, field, values):
    """As a server sends them; the last value stands for those that are left out, and zeros for none."""
    expected = {"float16": [1.5, -2.0], "complex64": [1 + 2j, 3 - 4j], "complex128": [1 + 2j, 3 - 4j]}.get(name, values)
    for count in (2, 4):
        tensor = message("tensorflow.TensorProto")(dtype=NUMBERS[name])
        tensor.tensor_shape.dim.add().size = count
        getattr(tensor, field).extend(values)
        filled = [*expected, *[expected[-1]] * (count - 2)]
        assert_same(to_array(tensor), np.array(filled, object if name == "string" else name))
    tensor.ClearField(field)
    assert_same(to_array(tensor), np.array([b"" if name == "string" else 0] * 4, object if name == "string" else name))


def test_lists_have_tensorflow_s_types():
    assert [to_array(to_tensor(value)).dtype.name for value in ([1], [0.5], [True], 3, ["a"])] == [
        "int32",
        "float32",
        "bool",
        "int32",
        "object",
    ]
    assert to_array(to_tensor(["ä", b"x\0"])).tolist() == ["ä".encode(), b"x\0"]


def test_types_that_are_not_there():
    with pytest.raises(ValueError, match=r"must have one of the types .*Received: datetime64\[D\]"):
        to_tensor(np.array(["2026-01-01"], "datetime64[D]"))
    with pytest.raises(ValueError, match=r"Strings must be text or bytes\. Received: dict"):
        to_tensor([{}])
    with pytest.raises(ValueError, match="TensorFlow's type 14"):
        to_array(message("tensorflow.TensorProto")(dtype=14))
    with pytest.raises(ValueError, match=r"`name` must be one of .*Received: 'tensorflow\.Nothing'"):
        message("tensorflow.Nothing")


def test_a_version_or_a_label():
    request = predict_request({"a": [1]}, "say", name="small", version=3)
    assert request.model_spec.version.value == 3
    request.model_spec.version_label = "stable"
    assert not request.model_spec.HasField("version")
    assert (request.model_spec.name, request.model_spec.signature_name) == ("small", "say")


def test_known_bytes():
    """Messages as `tensorflow-serving-api` 2.21 writes them."""
    tensor = to_tensor([7])
    tensor.int_val.append(7)
    tensor.ClearField("tensor_content")
    answer = message("tensorflow.serving.PredictResponse")(model_spec={"name": "small", "version": {"value": 3}})
    answer.outputs["count"].CopyFrom(tensor)
    assert answer.SerializeToString() == (
        b"\n\x14\n\x05count\x12\x0b\x08\x03\x12\x04\x12\x02\x08\x01:\x01\x07\x12\x0b\n\x05small\x12\x02\x08\x03"
    )
    status = message("tensorflow.serving.GetModelStatusResponse")()
    status.model_version_status.add(version=3, state=30, status={"error_code": 5, "error_message": "no memory"})
    assert status.SerializeToString() == b"\n\x13\x08\x03\x10\x1e\x1a\r\x08\x05\x12\tno memory"
    asked = message("tensorflow.serving.GetModelStatusRequest")(model_spec={"name": "small"})
    assert asked.SerializeToString() == b"\n\x07\n\x05small"
    log = message("tensorflow.serving.PredictionLog")()
    log.predict_log.request.CopyFrom(predict_request({"text": ["a"]}, "say", name="small", label="stable"))
    log.predict_log.request.output_filter.append("word")
    assert log.SerializeToString() == (
        b'23\n1\n\x14\n\x05small\x1a\x03say"\x06stable'
        b"\x12\x13\n\x04text\x12\x0b\x08\x07\x12\x04\x12\x02\x08\x01B\x01a\x1a\x04word"
    )


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["TensorProto", "TensorShapeProto"])
def test_numbers_of_fields(name):
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2

    theirs = getattr(tensor_pb2, name, None) or getattr(tensor_shape_pb2, name)
    for field in message(f"tensorflow.{name}").DESCRIPTOR.fields:
        assert theirs.DESCRIPTOR.fields_by_name[field.name].number == field.number, field.name


@pytest.mark.tensorflow
def test_warm_up_requests(tmp_path):
    import tensorflow as tf

    path = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    requests = [("say", {"text": example("string"), "x": example("float32")}), ("shout", {"flag": example("bool")})]
    write_warm_up(path, requests)
    # TensorFlow checks the sums.
    logs = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    assert len(logs) == 2
    # Field 6 of PredictionLog, field 1 of PredictLog.
    assert logs[1][0] == (6 << 3) | 2
    assert logs[1][2] == (1 << 3) | 2
    found = read_warm_up(path)
    assert [name for name, _ in found] == ["say", "shout"]
    for (_, inputs), (_, expected) in zip(found, requests, strict=True):
        assert set(inputs) == set(expected)
        for key, value in expected.items():
            assert_same(inputs[key], value)
    with pytest.raises(ValueError, match=rf"at most {MAX_WARM_UP_REQUESTS} requests\. Received: 1001"):
        write_warm_up(path, [requests[1]] * 1001)
    assert read_warm_up(path)[0][0] == "say"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"must be a whole TFRecord file\. Received: the file ends"):
        read_warm_up(path)
