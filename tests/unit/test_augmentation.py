"""Augmentation of batches in tf.data: seeded, each row on its own, padding left alone, and as strong as it says."""

import ast
import doctest
import importlib
import inspect
import pathlib

import keras
import numpy as np
import pytest

import mmkeras as mm
import mmkeras.preprocessing.augmentation as package
from mmkeras.data.corruption.mixing import active_samples
from mmkeras.preprocessing.augmentation import (
    AddNoise,
    Augmentation,
    DropModality,
    Fade,
    FrameJitter,
    RandomColour,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGain,
    SpecAugment,
    TimeShift,
    TokenDropout,
    Trim,
)
from tests.conformance import checks

BATCH = 6
SEED = (3, 4)


def generator(seed=0):
    return np.random.default_rng(seed)


def padded(x, lengths):
    """Zeros behind the first `lengths` steps of each row."""
    steps = np.arange(x.shape[1]) < np.asarray(lengths)[:, None]
    return (x * steps.reshape(*steps.shape, *[1] * (x.ndim - 2))).astype("float32")


def waves(num_samples=3000, lengths=(3000, 2500, 2000, 1500, 600, 0)):
    """Tones that begin and end softly, with zeros behind."""
    time = np.arange(num_samples)
    return np.stack([
        0.2 * np.sin(time / (3 + row)) * np.sin(np.pi * np.clip((time + 0.5) / max(length, 1), 0, 1))
        for row, length in enumerate(lengths)
    ]).astype("float32") * (time < np.array(lengths)[:, None])  # fmt: skip


IMAGES = generator().uniform(1, 255, (BATCH, 12, 16, 3)).astype("float32")
FRAMES = padded(generator(1).uniform(1, 255, (BATCH, 7, 6, 8, 3)), (7, 6, 5, 3, 1, 0))
SPECTROGRAMS = padded(generator(2).normal(-3, 1, (BATCH, 50, 20)), (50, 45, 40, 30, 12, 0))
TOKENS = np.array([[2, 7, 8, 9, 3, 0, 0], [2, 5, 3, 0, 0, 0, 0], [7, 8, 9, 10, 11, 12, 13], [0] * 7] * 2, "int32")
BANK = [generator(5).normal(size=700), generator(6).normal(size=5000)]

CASES = {
    "AddNoise": (AddNoise(snr_db=(0.0, 10.0)), waves()),
    "AddNoise/bank": (AddNoise(snr_db=(-5.0, 5.0), noise=BANK, rate=0.9), waves()),
    "Fade": (Fade(share=(0.1, 0.4), shape="exponential"), waves()),
    "FrameJitter": (FrameJitter(shift=1, drop_rate=0.3), FRAMES),
    "FrameJitter/features": (FrameJitter(shift=3, drop_rate=0.2), SPECTROGRAMS),
    "RandomColour": (RandomColour(0.3, 0.4, 0.5), IMAGES),
    "RandomColour/frames": (RandomColour(0.3, 0.4, 0.5), FRAMES),
    "RandomCrop": (RandomCrop(area=(0.3, 0.9), ratio=(0.5, 2.0), size=(12, 16)), IMAGES),
    "RandomCrop/frames": (RandomCrop(area=(0.3, 0.9)), FRAMES),
    "RandomErasing": (RandomErasing(rate=0.9, area=(0.1, 0.4), ratio=(0.5, 2.0)), IMAGES),
    "RandomErasing/frames": (RandomErasing(rate=0.9, area=(0.1, 0.4)), FRAMES),
    "RandomFlip": (RandomFlip(horizontal=0.4, vertical=0.3), IMAGES),
    "RandomFlip/frames": (RandomFlip(horizontal=0.4, vertical=0.3), FRAMES),
    "RandomGain": (RandomGain(decibels=(-9.0, 3.0)), waves()),
    "SpecAugment": (
        SpecAugment(num_time_masks=3, time_mask=9, num_frequency_masks=1, frequency_mask=4, time_share=0.5),
        SPECTROGRAMS,
    ),
    "TimeShift": (TimeShift(share=0.3), waves()),
    "TokenDropout": (TokenDropout(0.4, unknown=4, keep=(0, 2)), TOKENS),
    "TokenDropout/groups": (TokenDropout(0.4), TOKENS.reshape(4, 2, 7)),
    "Trim": (Trim(decibels=20.0, rate=0.6), waves()),
}
MODALITIES = {
    f"{name}_present": np.arange(64) % period != 1 for name, period in (("image", 2), ("text", 3), ("audio", 4))
}
PUBLIC = [getattr(package, name) for name in package.__all__]
tensorflow = pytest.mark.tensorflow


def run(augmentation, batch, seed=SEED):
    return augmentation(batch, seed).numpy()


@tensorflow
@pytest.mark.parametrize("name", CASES)
def test_equal_seeds_give_equal_batches_of_the_same_form(name):
    augmentation, batch = CASES[name]
    before = batch.copy()
    changed = run(augmentation, batch)
    assert changed.shape == batch.shape
    assert changed.dtype == batch.dtype
    assert np.isfinite(changed).all()
    assert (changed != batch).any()
    np.testing.assert_array_equal(changed, run(augmentation, batch))
    others = [run(augmentation, batch, (3, other)) for other in range(5, 9)]
    assert all((changed != other).any() for other in others)
    np.testing.assert_array_equal(batch, before)


@tensorflow
@pytest.mark.parametrize("name", CASES)
def test_each_row_has_draws_of_its_own(name):
    augmentation, batch = CASES[name]
    changed = run(augmentation, np.repeat(batch[:1], 16, axis=0))
    assert len({row.tobytes() for row in changed}) > 1


@tensorflow
@pytest.mark.parametrize("name", CASES)
def test_padding_stays_zero(name):
    augmentation, batch = CASES[name]
    if augmentation.__class__.__name__.startswith("Token"):
        return
    filled = batch.reshape(*batch.shape[:2], -1).any(axis=2) if batch.ndim > 2 else batch != 0
    lengths = np.where(filled.any(axis=1), filled.shape[1] - np.argmax(filled[:, ::-1], axis=1), 0)
    padding = np.arange(batch.shape[1]) >= lengths[:, None]
    for seed in range(5):
        assert not run(augmentation, batch, (seed, 0))[padding].any()


@tensorflow
@pytest.mark.parametrize("name", CASES)
def test_in_a_pipeline_that_knows_no_sizes(name):
    import tensorflow as tf

    augmentation, batch = CASES[name]
    spec = tf.TensorSpec([None] * (batch.ndim - 1) + ([3] if batch.shape[-1] == 3 else [None]), batch.dtype)
    dataset = tf.data.Dataset.from_generator(lambda: iter([batch, batch]), output_signature=spec)
    dataset = tf.data.Dataset.zip(dataset, tf.data.Dataset.from_tensor_slices(np.array([SEED, (9, 9)], "int32")))
    dataset = dataset.map(augmentation)
    assert dataset.element_spec.shape.rank == batch.ndim
    first, second = (element.numpy() for element in dataset)
    np.testing.assert_allclose(first, run(augmentation, batch), rtol=1e-5, atol=1e-5)
    assert (first != second).any()


@pytest.mark.parametrize("name", [*CASES, "DropModality"])
def test_config_round_trip(name):
    augmentation = DropModality(0.3, keep_one=False) if name == "DropModality" else CASES[name][0]
    config = keras.saving.serialize_keras_object(augmentation)
    clone = keras.saving.deserialize_keras_object(config)
    assert config["registered_name"] == f"mmkeras>{type(augmentation).__name__}"
    assert clone.get_config() == augmentation.get_config()
    assert repr(clone) == repr(augmentation)
    parameters = checks.init_parameters(type(augmentation))
    assert set(parameters) == set(augmentation.get_config())
    # Every argument has a value here that is not its default, so that one lost on the way would show.
    for argument, default in parameters.items():
        if name.split("/")[-1] not in ("frames", "features", "groups") and argument not in ("noise", "rate"):
            assert getattr(augmentation, argument) != default or argument in ("ratio", "brightness")
        assert _listed(getattr(clone, argument)) == _listed(getattr(augmentation, argument))


def _listed(value):
    return [item.tolist() for item in value] if isinstance(value, list) else value


def test_every_public_name_is_tested_and_documented():
    assert {name.split("/")[0] for name in CASES} | {"DropModality", "Augmentation"} == set(package.__all__)
    for cls in PUBLIC:
        if cls is not Augmentation:
            checks.check_docstring(cls, checks.init_parameters(cls))


@tensorflow
@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_example_runs(cls):
    names = {"np": np, "keras": keras, **vars(inspect.getmodule(cls))}
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(cls), names, cls.__name__, None, None)
    output = []
    runner = doctest.DocTestRunner()
    runner.run(example, out=output.append)
    assert runner.failures == 0, "".join(output)


def test_no_backend_of_keras_is_asked():
    for path in pathlib.Path(package.__file__).parent.glob("*.py"):
        used = {
            node.attr for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "keras"
        }  # fmt: skip
        assert used <= {"saving"}, path.name


@tensorflow
@pytest.mark.parametrize(
    ("augmentation", "batch", "message"),
    [
        (RandomFlip(), np.zeros((2, 4, 4), "float32"), r"RandomFlip takes a batch \(batch, height.*Received: shape"),
        (RandomCrop(), np.zeros((2, 4, 4, 3), "uint8"), r"RandomCrop takes .*dtype uint8"),
        (AddNoise(), np.zeros((2, 4, 1), "float32"), r"AddNoise takes a batch \(batch, sample\)"),
        (SpecAugment(), np.zeros((2, 4), "float32"), r"SpecAugment takes a batch \(batch, frame, mel\)"),
        (TokenDropout(), np.zeros((2, 4), "float32"), r"TokenDropout takes .*whole numbers.*float32"),
    ],
)
def test_wrong_batches(augmentation, batch, message):
    with pytest.raises(ValueError, match=message):
        augmentation(batch, SEED)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFlip(horizontal=1.5), "`horizontal` must be a probability.*Received: horizontal=1.5"),
        (lambda: RandomCrop(area=(0, 1)), r"`area` must be a pair \(low, high\) within .*Received"),
        (lambda: RandomCrop(area=(0.9, 0.5)), "`area` must be a pair"),
        (lambda: RandomColour(contrast=2), r"`contrast` must lie in 0..1. Received: contrast=2"),
        (lambda: FrameJitter(shift=0.5), "`shift` must be a whole number of frames"),
        (lambda: AddNoise(snr_db=5), "`snr_db` must be a pair"),
        (lambda: AddNoise(noise=[]), "`noise` must be a list of arrays"),
        (lambda: AddNoise(noise=[np.zeros((3, 2))]), r"`noise` must be .*Received: shapes \[\(3, 2\)\]"),
        (lambda: Fade(shape="square"), "`shape` must be one of .*Received: shape='square'"),
        (lambda: Trim(decibels=-40), "`decibels` must be a positive distance"),
        (lambda: SpecAugment(time_mask=0.2), "`time_mask` must be a whole number"),
        (lambda: TokenDropout(-0.1), "`rate` must be a probability"),
        (lambda: DropModality(float("nan")), "`rate` must be a probability"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Pictures and clips


@tensorflow
@pytest.mark.parametrize("horizontal", [True, False])
def test_flips_mirror_as_often_as_they_say(horizontal):
    batch = np.repeat(IMAGES[:1], 1000, axis=0)
    changed = run(RandomFlip(0.3, 0) if horizontal else RandomFlip(0, 0.3), batch)
    mirrored = IMAGES[0][:, ::-1] if horizontal else IMAGES[0][::-1]
    flipped = (changed == mirrored).all(axis=(1, 2, 3))
    assert (flipped | (changed == IMAGES[0]).all(axis=(1, 2, 3))).all()
    assert flipped.mean() == pytest.approx(0.3, abs=0.05)


@tensorflow
@pytest.mark.parametrize("name", ["RandomFlip", "RandomCrop", "RandomErasing"])
def test_all_frames_of_a_clip_change_alike(name):
    augmentation, _ = CASES[name]
    clips = np.repeat(IMAGES[:, None], 4, axis=1)
    changed = run(augmentation, clips)
    np.testing.assert_array_equal(changed, np.repeat(changed[:, :1], 4, axis=1))
    np.testing.assert_array_equal(changed[:, 0], run(augmentation, IMAGES))


@tensorflow
def test_a_crop_is_a_part_of_the_picture():
    # The two channels of a ramp tell where each pixel came from.
    y, x = np.mgrid[:33, :65].astype("float32")
    ramp = np.repeat(np.stack([y, x, 0 * x], axis=-1)[None], 400, axis=0)
    changed = run(RandomCrop(area=(0.25, 0.64), ratio=(0.5, 2.0)), ramp)
    height = (changed[:, -1, 0, 0] - changed[:, 0, 0, 0]) / 32
    width = (changed[:, 0, -1, 1] - changed[:, 0, 0, 1]) / 64
    area, ratio = height * width, width / height
    whole = (height < 0.999) & (width < 0.999)  # a long part is cut where the picture ends
    assert 0.249 < area[whole].min() < 0.3
    assert 0.59 < area[whole].max() < 0.641
    assert 0.499 < ratio.min() < 0.6
    assert 1.7 < ratio.max() < 2.01
    assert changed[..., 0].min() == pytest.approx(0, abs=0.5)
    assert changed[..., 1].max() == pytest.approx(64, abs=0.5)
    np.testing.assert_allclose(run(RandomCrop((1, 1), (1, 1)), IMAGES), IMAGES, atol=1e-3)


@tensorflow
def test_a_crop_of_another_size_shows_the_same_part():
    y, x = np.mgrid[:33, :65].astype("float32")
    ramp = np.repeat(np.stack([y, x, 0 * x], axis=-1)[None], 8, axis=0)
    large, small = run(RandomCrop((0.3, 0.6)), ramp), run(RandomCrop((0.3, 0.6), size=(17, 33)), ramp)
    assert small.shape == (8, 17, 33, 3)
    np.testing.assert_allclose(small, large[:, ::2, ::2], atol=1e-3)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((8, 8)))
    records = mm.data.from_arrays(image=np.zeros((4, 8, 8, 3), "uint8"))
    batches = pre.dataset(records, 2, augment={"image": RandomCrop(size=(4, 6))})
    assert tuple(batches.element_spec["image"].shape) == (None, 4, 6, 3)
    with pytest.raises(ValueError, match=r"`size` must be \(height, width\)"):
        RandomCrop(size=(4,))


@tensorflow
def test_colour_changes_are_factors():
    grey = np.full((500, 2, 2, 3), 100, "float32")
    factors = run(RandomColour(0.3, 0, 0), grey)[:, 0, 0, 0] / 100
    assert 0.7 <= factors.min() < 0.72
    assert 1.28 < factors.max() <= 1.3
    np.testing.assert_allclose(run(RandomColour(0, 1, 1), grey), grey, atol=1e-3)
    picture = np.repeat(IMAGES[:1], 300, axis=0) / 4 + 90
    luma = np.array([0.299, 0.587, 0.114])
    contrast = run(RandomColour(0, 0.5, 0), picture)
    np.testing.assert_allclose((contrast @ luma).mean((1, 2)), (picture @ luma).mean((1, 2)), rtol=1e-4)
    ratio = contrast.std((1, 2, 3)) / picture.std((1, 2, 3))
    assert 0.5 < ratio.min() < 0.6 < 1.4 < ratio.max() < 1.5
    saturation = run(RandomColour(0, 0, 1), picture)
    np.testing.assert_allclose(saturation @ luma, picture @ luma, rtol=1e-4)
    assert run(RandomColour(1, 1, 1), IMAGES).min() >= 0
    assert run(RandomColour(1, 1, 1), IMAGES).max() <= 255


@tensorflow
def test_erasing_hides_one_rectangle_behind_the_mean():
    batch = np.repeat(IMAGES[:1], 500, axis=0)
    changed = run(RandomErasing(rate=0.5, area=(0.1, 0.3), ratio=(0.5, 2)), batch)
    hidden = (changed != batch).any(axis=-1)
    erased = hidden.any(axis=(1, 2))
    assert erased.mean() == pytest.approx(0.5, abs=0.08)
    share = hidden[erased].mean(axis=(1, 2))
    assert share.mean() == pytest.approx(0.2, abs=0.02)
    for picture, where in zip(changed[erased], hidden[erased], strict=True):
        rows, columns = where.any(axis=1), where.any(axis=0)
        np.testing.assert_array_equal(where, rows[:, None] & columns[None])
        mean = np.broadcast_to(IMAGES[0].mean((0, 1)), picture[where].shape)
        np.testing.assert_allclose(picture[where], mean, rtol=1e-4)


@tensorflow
def test_jitter_shifts_and_repeats_frames():
    numbers = np.arange(1, 9, dtype="float32") * (np.arange(8) < 6)
    clips = np.broadcast_to(numbers[:, None], (600, 8, 2)).copy()
    shifted = run(FrameJitter(shift=2, drop_rate=0), clips)[..., 0]
    expected = {(*np.clip(numbers[:6] + by, 1, 6), 0, 0) for by in range(-2, 3)}
    assert {tuple(row) for row in shifted} == expected
    counts = [np.all(shifted == row, axis=1).mean() for row in expected]
    np.testing.assert_allclose(counts, 0.2, atol=0.06)
    dropped = run(FrameJitter(shift=0, drop_rate=0.4), clips)[:, :6, 0]
    changed = dropped[:, 1:] == dropped[:, :-1]
    assert changed.mean() == pytest.approx(0.4, abs=0.03)
    assert ((dropped[:, 1:] == numbers[1:6]) | changed).all()
    assert (dropped[:, 0] == 1).all()


# Sound


@tensorflow
@pytest.mark.parametrize("noise", [None, BANK], ids=["white", "bank"])
@pytest.mark.parametrize("decibels", [-5, 0, 20])
def test_noise_is_exactly_as_loud_as_asked(noise, decibels):
    batch = waves()
    batch[0, 500:2000] = 0  # a pause, which does not count
    added = run(AddNoise(snr_db=(decibels, decibels), noise=noise), batch).astype("float64") - batch
    for clip, difference, length in zip(batch, added, (3000, 2500, 2000, 1500, 600), strict=False):
        active = active_samples(clip[:length])
        ratio = np.square(clip[:length][active]).mean() / np.square(difference[:length][active]).mean()
        assert 10 * np.log10(ratio) == pytest.approx(decibels, abs=0.02)
    assert added[0, 500:2000].any()


@tensorflow
def test_the_pipeline_and_single_clips_agree_on_what_is_active():
    lengths = (700, 522, 100, 0)
    clips = [generator(row).normal(size=length).astype("float32") for row, length in enumerate(lengths)]
    # The last block, cut off by the end of the clip, is soft but far from silent.
    clips[1][512:] = 0.03
    clips[0][256:512] = 0.005
    batch = np.zeros((4, 800), "float32")
    for row, clip in enumerate(clips):
        batch[row, : len(clip)] = clip
    waveforms = importlib.import_module("mmkeras.preprocessing.augmentation.waveforms")
    found = waveforms.active(importlib.import_module("tensorflow").constant(batch)).numpy()
    for row, clip in enumerate(clips):
        expected = active_samples(clip) if len(clip) else np.zeros(0, bool)
        np.testing.assert_array_equal(found[row, : len(clip)], expected)
        assert not found[row, len(clip) :].any()
    assert found[1].sum() == 522
    assert found[0].sum() == 444


@tensorflow
def test_ratios_are_spread_over_their_range_and_some_clips_stay_clean():
    batch = np.repeat(waves()[:1] / 4, 400, axis=0)
    added = run(AddNoise(snr_db=(0, 20), rate=0.75), batch) - batch
    noisy = added.any(axis=1)
    assert noisy.mean() == pytest.approx(0.75, abs=0.07)
    active = active_samples(batch[0])
    ratios = 10 * np.log10(np.square(batch[0][active]).mean() / np.square(added[noisy][:, active]).mean(axis=1))
    assert -0.1 < ratios.min() < 1
    assert 19 < ratios.max() < 20.1
    assert ratios.mean() == pytest.approx(10, abs=1)


@tensorflow
def test_a_bank_gives_excerpts_of_its_recordings():
    ramp = np.arange(1, 51, dtype="float32")
    batch = np.repeat(waves()[:1], 200, axis=0)
    added = run(AddNoise(snr_db=(0, 0), noise=[ramp, -ramp]), batch) - batch
    steps = np.diff(added, axis=1) / np.abs(np.median(np.diff(added, axis=1), axis=1, keepdims=True))
    upward = np.median(steps, axis=1) > 0
    assert 0.35 < upward.mean() < 0.65
    # A ramp of 50 samples goes up by 1 and falls by 49 where it begins anew, somewhere else in each clip.
    falls = np.abs(steps) > 10
    np.testing.assert_allclose(falls.sum(axis=1), 3000 / 50, atol=1)
    assert len(set(np.argmax(falls, axis=1))) > 30


@tensorflow
def test_loud_sums_and_gains_stay_within_full_scale():
    loud = 4 * waves()
    mixed = run(AddNoise(snr_db=(-10, -10)), loud)
    np.testing.assert_allclose(np.abs(mixed[:5]).max(axis=1), 1, rtol=1e-5)
    louder = run(RandomGain((0, 30)), np.repeat(loud[:1], 50, axis=0))
    assert np.abs(louder).max() <= 1.0001
    gains = 20 * np.log10(run(RandomGain((-12, 6)), np.repeat(waves()[:1], 300, axis=0)).std(axis=1) / waves()[0].std())
    assert -12.1 < gains.min() < -11
    assert 5 < gains.max() < 6.1


@tensorflow
def test_shifts_move_sound_inside_its_clip():
    clip = np.zeros((300, 100), "float32")
    clip[:, :80] = np.arange(1, 81)
    shifted = run(TimeShift(share=0.25), clip)
    moved = []
    for row in shifted:
        filled = np.flatnonzero(row)
        assert filled[-1] < 80
        shift = int(filled[0] - (row[filled[0]] - 1))
        moved.append(shift)
        expected = np.zeros(100)
        expected[max(shift, 0) : 80 + min(shift, 0)] = np.arange(1, 81)[max(-shift, 0) : 80 - max(shift, 0)]
        np.testing.assert_array_equal(row, expected)
    assert -20 <= min(moved) < -17
    assert 17 < max(moved) <= 20


@tensorflow
@pytest.mark.parametrize(
    ("shape", "half"), [("linear", 0.5), ("logarithmic", np.log(1.5) / np.log(2)), ("exponential", None)]
)
def test_fades_end_where_the_clip_ends(shape, half):
    half = np.expm1(0.5) / np.expm1(1) if half is None else half
    clips = np.zeros((2, 50), "float32")
    clips[0], clips[1, :20] = 1, 1
    long, short = run(Fade(share=(0.1, 0.1), shape=shape), clips)
    # Five and two samples of fade: the third of five is half-way.
    assert long[2] == pytest.approx(half, abs=1e-5)
    np.testing.assert_array_equal(long[4:46], 1)
    np.testing.assert_allclose(long[::-1], long, atol=1e-6)
    np.testing.assert_array_equal(short[[0, 1, 18, 19]], [0, 1, 1, 0])
    assert not short[20:].any()
    for whole in (0, 1):
        assert np.isfinite(run(Fade(share=(whole, whole)), waves())).all()


@tensorflow
def test_trimmed_clips_begin_and_end_with_sound():
    clips = np.zeros((200, 60), "float32")
    clips[:, 10:40] = -0.001
    clips[:, 20:30] = -0.5
    changed = run(Trim(decibels=40, rate=0.5), clips)
    trimmed = (changed[:, :10] == -0.5).all(axis=1)
    assert trimmed.mean() == pytest.approx(0.5, abs=0.1)
    assert not changed[trimmed][:, 10:].any()
    np.testing.assert_array_equal(changed[~trimmed], clips[~trimmed])
    softer = run(Trim(decibels=60, rate=1.0), clips)
    np.testing.assert_array_equal(softer[0, :30], clips[0, 10:40])


# Spectrograms, tokens, modalities


@tensorflow
def test_spectrogram_masks_are_stretches_and_bands_of_the_mean():
    batch = np.repeat(SPECTROGRAMS[1:2], 300, axis=0)  # 45 frames of sound, 5 of padding
    mean = batch[0, :45].mean()
    changed = run(SpecAugment(1, 9, 0, 0, time_share=1.0), batch)
    hidden = (changed != batch).all(axis=2)
    np.testing.assert_allclose(changed[hidden], mean, rtol=1e-4)
    np.testing.assert_array_equal(changed[~hidden], batch[~hidden])
    lengths = hidden.sum(axis=1)
    assert set(lengths) == set(range(10))
    assert ((np.diff(hidden.astype(int), axis=1) == 1).sum(axis=1) + hidden[:, 0] <= 1).all()
    assert hidden[:, 0].any()
    assert hidden[:, 44].any()
    assert not hidden[:, 45:].any()
    changed = run(SpecAugment(0, 0, 1, 6), batch)
    hidden = (changed != batch)[:, :45].all(axis=1)
    assert set(hidden.sum(axis=1)) == set(range(7))
    assert not changed[:, 45:].any()
    assert run(SpecAugment(0, 0, 0, 0), batch).tobytes() == batch.tobytes()


@tensorflow
def test_short_clips_keep_most_of_their_frames():
    changed = run(SpecAugment(2, 20, 0, 0, time_share=0.2), np.repeat(SPECTROGRAMS[4:5], 200, axis=0))
    hidden = (changed[:, :12] != SPECTROGRAMS[4, :12]).all(axis=2).sum(axis=1)
    assert hidden.max() == 4  # twice a fifth of 12 frames


@tensorflow
def test_a_hidden_frame_never_looks_like_padding():
    centred = np.array([[[1.0, -1.0], [-1.0, 1.0], [2.0, -2.0], [0.0, 0.0]]] * 50, "float32")  # its mean is zero
    changed = run(SpecAugment(1, 3, 1, 2, time_share=1.0), centred)
    assert changed[:, :3].any(axis=2).all()
    assert not changed[:, 3].any()


@tensorflow
def test_tokens_are_replaced_as_often_as_asked_and_marks_never():
    batch = np.repeat(TOKENS[:1], 3000, axis=0)
    changed = run(TokenDropout(0.3), batch)
    np.testing.assert_array_equal(changed[:, [0, 4, 5, 6]], batch[:, [0, 4, 5, 6]])
    words = changed[:, 1:4]
    assert (words == 1).mean() == pytest.approx(0.3, abs=0.02)
    assert ((words == 1) | (words == batch[:, 1:4])).all()
    # Each on its own: all three go as often as chance has it.
    assert (words == 1).all(axis=1).mean() == pytest.approx(0.027, abs=0.012)


@tensorflow
def test_a_modality_always_stays():
    batch = {**{key: np.repeat(flag, 20) for key, flag in MODALITIES.items()}, "image": np.zeros((1280, 2))}
    before = np.stack([batch[key] for key in MODALITIES], axis=1)
    dropped = DropModality(0.4)(batch, SEED)
    assert list(dropped) == list(batch)
    assert dropped["image"] is batch["image"]
    after = np.stack([dropped[key].numpy() for key in MODALITIES], axis=1)
    assert not (after & ~before).any()
    np.testing.assert_array_equal(after.any(axis=1), before.any(axis=1))
    three = before.all(axis=1)
    # 0.4 each, but where all three would go (0.064) none does.
    assert 1 - after[three].mean() == pytest.approx(0.4 - 0.064, abs=0.04)
    again = DropModality(0.4)({key: batch[key] for key in reversed(batch)}, SEED)
    assert all((again[key] == dropped[key]).numpy().all() for key in MODALITIES)
    assert not DropModality(1.0, keep_one=False)(batch, SEED)["text_present"].numpy().any()
    with pytest.raises(ValueError, match=r"name the modalities that may be missing .*Received: keys \['image'\]"):
        DropModality()({"image": np.zeros(3)}, SEED)


@tensorflow
def test_tensorflow_io_loads_without_a_word_and_other_warnings_pass(monkeypatch):
    import builtins
    import warnings

    waveforms = importlib.import_module("mmkeras.preprocessing.augmentation.waveforms")
    real = builtins.__import__

    def importing(name, *arguments, **options):
        if name == "tensorflow_io":
            warnings.warn("unable to load libtensorflow_io_plugins.so: as it always says", stacklevel=2)
            warnings.warn("file system plugins are not loaded: as well", stacklevel=2)
            warnings.warn("something else", stacklevel=2)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.warns(UserWarning, match="something else") as caught:
        assert callable(waveforms.tensorflow_io_audio().fade)
    assert [str(warning.message) for warning in caught] == ["something else"]
