"""The key table: names of tensors from file to server."""

import pytest

from mmkeras import keys


def test_the_table_is_unambiguous():
    prepared = [key.prepared for key in keys.TABLE]
    assert len(set(prepared)) == len(prepared)
    assert not any(name.endswith(keys.PRESENT) for name in prepared)
    # What a server receives for a modality belongs to it alone, unless two modalities are fed by the same name.
    serving = {}
    for key in keys.TABLE:
        assert serving.setdefault(key.serving, key.modality) == key.modality or key.serving == key.prepared
    assert {key.dtype for key in keys.TABLE} == {"float32", "int32"}


@pytest.mark.parametrize("key", keys.TABLE, ids=lambda key: key.prepared)
def test_a_modality_of_its_own_kind_keeps_the_name(key):
    assert keys.prepared_key(key.modality, key.prepared) == key.prepared


@pytest.mark.parametrize(
    ("modality", "encoder_input", "expected"),
    [
        ("question", "token_ids", "question_token_ids"),
        ("left", "image", "left_image"),
        ("right", "image", "right_image"),
        ("audio", "features", "audio_features"),
        ("features_face", "features", "features_face"),
        ("face", "features", "face_features"),
        ("features_face", "image", "features_face_image"),
        ("video", "frames", "frames"),
        ("audio", "spectrogram", "spectrogram"),
        ("sensor", "pressure", "sensor_pressure"),
    ],
)
def test_prepared_key(modality, encoder_input, expected):
    assert keys.prepared_key(modality, encoder_input) == expected


def test_the_table_says_what_the_function_says():
    """A second text has a row of its own, under the very name that its encoder's input gets."""
    (question,) = [key for key in keys.TABLE if key.modality == "question"]
    assert keys.prepared_key("question", "token_ids") == question.prepared


def test_several_encoders_of_one_kind_get_several_inputs():
    modalities = ["text", "question", "caption", "features", "features_a", "features_b"]
    names = [keys.prepared_key(name, "features" if "features" in name else "token_ids") for name in modalities]
    assert len(set(names)) == len(modalities)


@pytest.mark.parametrize("modality", ["text", "features_face"])
def test_presence_key(modality):
    assert keys.presence_key(modality) == f"{modality}_present"
