"""Clips of the toy world and sentences: found by them, described by them."""

import keras
import numpy as np
import pytest

import mmkeras as mm

SIZE, FRAMES = (16, 24), 4
TOY = mm.data.toy.ToyClips(200, seed=0)


@pytest.fixture(scope="module")
def clips():
    return [TOY.records(split, ("colour", "material", "source")) for split in ("train", "test")]


def preprocessor(train, **text):
    return mm.preprocessing.Preprocessor(
        video=mm.preprocessing.Video(FRAMES, SIZE),
        audio=mm.preprocessing.Audio(8_000, seconds=2.0),
        text=mm.preprocessing.Text(**text),
    ).adapt(train)


def encoders(pooling=None):
    still = mm.encoders.vgg(1, 8, convolutions=1, image_shape=(*SIZE, 3), pooling="max")
    return {
        "video": mm.encoders.time_distributed(still, pooling=pooling),
        "audio": mm.encoders.spectrogram_cnn(8_000, 4, blocks=2, dim=16, num_mels=16, pooling=pooling),
    }


@pytest.mark.slow
def test_sentences_find_clips_by_what_is_seen_and_heard(clips):
    """A clip stands where its frames and its sound stand together."""
    train, test = clips
    keras.utils.set_random_seed(0)
    pre = preprocessor(train, length=8, mark_ends=False)
    words = mm.encoders.bag_of_words(pre["text"].num_tokens, 16, pooling="avg")
    pairs = [("video", "text"), ("audio", "text")]
    task = mm.models.JointEmbedding({**encoders("avg"), "text": words}, dim=16, pairs=pairs, preprocessor=pre)
    task.compile(keras.optimizers.Adam(2e-2), metrics=None)
    sentences = sorted({clip["text"] for clip in train})
    # Clips of the same sentence are no wrong answers to it.
    same = np.array([sentences.index(clip["text"]) for clip in train])
    task.fit(pre(train), same, batch_size=16, epochs=15, verbose=0)

    seen, heard = (task.embed(name, test, batch_size=64) for name in ("video", "audio"))
    asked = sorted({(clip["colour"], clip["material"]): clip["text"] for clip in test}.items())
    queries = task.embed("text", [text for _, text in asked], batch_size=64)
    found = {}
    for name, items in {
        "both": seen + heard,
        "frames": seen,
        "sound": heard,
        "sound of others": seen + np.roll(heard, 1, axis=0),
    }.items():
        # Which of the two is heard neither stream tells: clips match by what one of them does.
        matching = [f"{clip['colour']} {clip['material']}" for clip in test]
        found[name] = mm.retrieval.evaluate(queries, items, [" ".join(facts) for facts, _ in asked], matching, ks=(1,))
    assert found["both"]["r@1"] >= 0.8
    assert found["both"]["median_rank"] == 1
    assert all(found[name]["r@1"] <= 0.6 for name in ("frames", "sound", "sound of others"))


@pytest.mark.slow
def test_what_is_said_of_clips_is_true(clips):
    train, test = clips
    keras.utils.set_random_seed(0)
    pre = preprocessor(train, length=10)
    fusion = mm.layers.TimelineFusion(mm.layers.ConcatFusion(32), dim=16, context=None)
    task = mm.models.VideoCaptioner(encoders(), fusion=fusion, units=32, preprocessor=pre)
    task.compile(keras.optimizers.Adam(5e-3))
    task.fit(pre(train), batch_size=16, epochs=16, verbose=0)

    def truth(records, name):
        """Share of the clips of which a sentence of the grammar tells a fact as it is."""
        said = task.generate(records, batch_size=64)
        return np.mean([TOY.caption_is_true(text, {name: clip[name]}) for text, clip in zip(said, test, strict=True)])

    assert truth(test, "colour") >= 0.95
    assert truth(test, "material") >= 0.95
    # The sound of another clip tells the material of that one.
    others = [{**clip, "audio": other["audio"]} for clip, other in zip(test, test[1:] + test[:1], strict=True)]
    assert truth(others, "colour") >= 0.95
    assert truth(others, "material") <= 0.6
