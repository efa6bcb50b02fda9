"""Configs of tasks, read and changed."""

import keras


def deserialized(value):
    """Objects of what `keras.saving.serialize_keras_object` made, in lists and dicts too."""
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, dict):
        return {key: deserialized(item) for key, item in value.items()}
    if isinstance(value, list):
        return [deserialized(item) for item in value]
    return value


def float32_copy(task):
    """A copy of a task that computes in float32 throughout, whatever the task computes in."""
    copy = type(task).from_config(_in_float32(task.get_config()))
    copy.set_weights(task.get_weights())
    return copy


def _in_float32(config):
    if isinstance(config, dict) and config.get("class_name") == "DTypePolicy":
        return {**config, "config": {"name": "float32"}}
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    return [_in_float32(value) for value in config] if isinstance(config, list) else config
