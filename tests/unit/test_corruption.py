"""Corruptors: nothing at severity 0, more at each step, the same for the same seed, and exactly as loud as they say."""

import dataclasses
import difflib
import inspect
import io
import itertools
import pickle
import warnings

import numpy as np
import pytest
from PIL import Image

from mmkeras.data.corruption import (
    CORRUPTORS,
    AudioBabble,
    AudioBandLimit,
    AudioClip,
    AudioNoise,
    ChannelDrop,
    Corruptor,
    Desync,
    FeatureNoise,
    FrameDrop,
    ImageBlur,
    ImageJPEG,
    ImageLowRank,
    ImageNoise,
    ImageOcclusion,
    Missing,
    SignalNoise,
    TextDrop,
    TextSwap,
    TextTypo,
    corrupt,
)
from mmkeras.data.corruption.mixing import active_samples
from mmkeras.data.media.audio import load_audio, wav_bytes
from mmkeras.data.readers.arrays import from_arrays
from mmkeras.data.records import Records

SEVERITIES = (0, 0.1, 0.25, 0.5, 0.75, 1)
RATE = 8000
SENTENCE = "Seven brown dogs quickly chased one small orange cat through wet grass yesterday"


def generator(seed=0):
    return np.random.default_rng(seed)


def photo(height=60, width=80):
    """Smooth shapes with fine detail, in colour: what pictures have and blur, JPEG and low rank take away."""
    y, x = np.mgrid[:height, :width] / height
    waves = np.stack([np.sin(6 * x + 3 * y), np.cos(9 * y - 2 * x), np.sin(5 * x * y)], axis=-1)
    grain = generator(1).standard_normal((height, width, 3))
    return np.clip(127 + 70 * waves + 20 * grain, 0, 255).astype("uint8")


def speech(seconds=1.0):
    """Tone bursts with silence between and behind, soft enough that no noise makes them overflow."""
    time = np.arange(int(RATE * seconds)) / RATE
    bursts = (np.sin(2 * np.pi * 2 * time) > 0.2) & (time < 0.7 * seconds)
    tones = np.sin(2 * np.pi * 220 * time) + np.sin(2 * np.pi * 1800 * time) + np.sin(2 * np.pi * 3500 * time)
    return 0.01 * tones * bursts


VALUES = {
    "image": photo(),
    "text": SENTENCE,
    "audio": (speech(), RATE),
    "video": np.stack([np.full((4, 6, 3), 10 * (index + 1), "uint8") for index in range(12)]),
    "signal": generator(2).standard_normal((200, 8)) * np.arange(1, 9) + 5,
    "features": generator(3).standard_normal((30, 10)) * 10.0 ** np.arange(-2, 3).repeat(2),
}
CASES = [(cls, modality) for modality, classes in CORRUPTORS.items() for cls in classes if cls is not Missing]
IDS = [cls.__name__ for cls, _ in CASES]


def distance(cls, original, worse):
    """How far a value is from the original, in the measure that fits it."""
    if isinstance(original, str):
        ours, theirs = original.split(), worse.split()
        if cls is TextDrop:
            return len(ours) - len(theirs)
        return sum(a != b for a, b in zip(ours, theirs, strict=True))
    if isinstance(original, tuple):
        original, worse = original[0], worse[0]
        if cls is Desync:  # the shift itself, in samples
            spectrum = np.fft.rfft(worse, 2 * len(worse)) * np.conj(np.fft.rfft(original, 2 * len(worse)))
            lag = int(np.argmax(np.fft.irfft(spectrum)))
            return min(lag, 2 * len(worse) - lag)
    return float(np.linalg.norm(np.asarray(original, "float64") - worse))


def samples(value):
    return value[0] if isinstance(value, tuple) else value


@pytest.mark.parametrize(("cls", "modality"), CASES, ids=IDS)
def test_severity_0_hands_the_value_back(cls, modality):
    value = VALUES[modality]
    assert cls(0)(value, generator()) is value
    assert cls(0.0)("any/path.jpg", generator()) == "any/path.jpg"
    assert cls(0.5)(None, generator()) is None


@pytest.mark.parametrize(("cls", "modality"), CASES, ids=IDS)
def test_damage_grows_with_severity(cls, modality):
    value = (generator(8).standard_normal(RATE) / 10, RATE) if cls is Desync else VALUES[modality]
    for seed in range(3):
        found = [distance(cls, value, cls(severity)(value, generator(seed))) for severity in SEVERITIES]
        assert found == sorted(found)
        assert found[0] == 0 < found[3] < found[-1]


@pytest.mark.parametrize(("cls", "modality"), CASES, ids=IDS)
def test_equal_generators_give_equal_results_and_leave_the_value_alone(cls, modality):
    value = VALUES[modality]
    before = pickle.dumps(value)
    first, second = (cls(0.7)(value, generator(5)) for _ in range(2))
    np.testing.assert_array_equal(samples(first), samples(second))
    assert pickle.dumps(value) == before
    if not isinstance(value, str):
        assert samples(first).shape == samples(value).shape
        assert samples(first).dtype == samples(value).dtype


@pytest.mark.parametrize(
    ("cls", "modality"),
    [case for case in CASES if case[0] not in (ImageBlur, ImageJPEG, ImageLowRank, AudioClip, AudioBandLimit)],
    ids=lambda item: getattr(item, "__name__", item),
)
def test_other_generators_give_other_results(cls, modality):
    value = VALUES[modality]
    results = [pickle.dumps(cls(0.5)(value, generator(seed))) for seed in range(8)]
    assert len(set(results)) > 1


@pytest.mark.parametrize("cls", [*[cls for cls, _ in CASES], Missing], ids=lambda cls: cls.__name__)
def test_a_corruptor_is_a_small_frozen_picklable_thing(cls):
    corruptor = cls(0.25)
    assert isinstance(corruptor, Corruptor)
    assert repr(corruptor) == repr(pickle.loads(pickle.dumps(corruptor))) == f"{cls.__name__}(0.25)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        corruptor.severity = 1
    for wrong in (-0.1, 1.1, float("nan"), "0.5", True):
        with pytest.raises(ValueError, match=r"`severity` must be a number from 0 .*Received"):
            cls(wrong)


def test_every_corruptor_is_in_the_table():
    import mmkeras.data.corruption as package

    public = {thing for thing in vars(package).values() if inspect.isclass(thing)} - {Corruptor}
    assert public == {cls for classes in CORRUPTORS.values() for cls in classes}
    assert set(package.__all__) == {cls.__name__ for cls in public} | {"CORRUPTORS", "Corruptor", "corrupt"}


# Pictures


@pytest.mark.parametrize("cls", CORRUPTORS["image"][:-1], ids=lambda cls: cls.__name__)
def test_pictures_from_files_bytes_grey_floats_and_films(cls, tmp_path):
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "png")
    path = tmp_path / "photo.png"
    path.write_bytes(file.getvalue())
    from_path, from_bytes, from_array = (
        cls(0.5)(value, generator()) for value in (str(path), file.getvalue(), photo().astype("float32"))
    )
    np.testing.assert_array_equal(from_path, from_bytes)
    np.testing.assert_array_equal(from_path, from_array)
    assert from_path.dtype == np.uint8
    grey = cls(0.5)(photo()[:, :, 0], generator())
    assert grey.shape == (60, 80, 3)
    assert (grey.min(axis=-1) == grey.max(axis=-1)).all()
    assert cls(0.5)(np.stack([photo()] * 2), generator()).shape == (2, 60, 80, 3)
    assert [image.shape for image in cls(0.5)([str(path), photo()], generator())] == [(60, 80, 3)] * 2


@pytest.mark.parametrize("severity", [0.25, 0.5, 0.75])
def test_occlusion_covers_its_share(severity):
    covered = ImageOcclusion(severity, fill=0)(np.full((100, 200, 3), 200, "uint8"), generator(4))
    assert (covered == 0).mean() == pytest.approx(severity, abs=0.01)


@pytest.mark.parametrize("severity", [0.25, 0.75, 0.95])
@pytest.mark.parametrize("size", [(60, 80), (80, 60)])
def test_low_rank_keeps_its_share_of_the_energy(severity, size):
    image = photo(*size).astype("float64")
    weak = ImageLowRank(severity)(photo(*size), generator()).astype("float64")
    energy = [np.square(x - image.mean(axis=(0, 1))).sum() for x in (weak, image)]
    # 8 bits a pixel and clipping at 0 and 255 cost a little.
    assert energy[0] / energy[1] == pytest.approx(1 - severity, abs=0.01)


def test_low_rank_leaves_the_mean_colour_at_last():
    image = photo()
    flat = ImageLowRank(1)(image, generator())
    assert (flat == np.round(image.mean(axis=(0, 1)))).all()


def test_noise_has_the_stated_deviation():
    noisy = ImageNoise(0.2)(np.full((100, 100, 3), 128, "uint8"), generator()).astype(float)
    assert noisy.std() == pytest.approx(0.2 * 127.5, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=1)


# Sentences


@pytest.mark.parametrize("cls", [TextTypo, TextDrop, TextSwap])
@pytest.mark.parametrize(
    "sentence",
    [
        "dog",
        "a",
        "!",
        "😀",
        "👍🏽 👍🏽",
        "狗在草地上跑",
        "我 love 狗",
        "  two  spaced\twords \n",
        "naïve Straße 3,5 €",
        "x" * 9000,
    ],
)
@pytest.mark.parametrize("severity", [0.3, 1])
def test_a_sentence_stays_a_sentence(cls, sentence, severity):
    for seed in range(5):
        worse = cls(severity)(sentence, generator(seed))
        assert isinstance(worse, str)
        assert worse.strip()
        assert cls(severity)([sentence, ""], generator(seed))[1] == ""
    assert cls(severity)(" \n", generator()) == " \n"


def test_typos_are_one_slip_of_a_finger_in_each_word():
    rows = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"]
    slips = 0
    for seed in range(20):
        for ours, theirs in zip(SENTENCE.split(), TextTypo(1)(SENTENCE, generator(seed)).split(), strict=True):
            assert len(ours) == len(theirs)
            changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
            if len(changed) == 2:
                assert changed[0] == changed[1][::-1]
                continue
            ((a, b),) = changed
            slips += 1
            assert a.isupper() == b.isupper() or b.isdigit()
            place = {key: (row, column) for row, keys in enumerate(rows) for column, key in enumerate(keys)}
            (row_a, column_a), (row_b, column_b) = place[a.lower()], place[b.lower()]
            assert abs(row_a - row_b) <= 1
            assert abs(column_a - column_b) <= 1
    assert 50 < slips < 220  # of 260 words; about half are neighbouring keys, the others changed places


def test_words_are_only_lost_and_only_moved():
    for seed in range(10):
        kept = TextDrop(0.5)(SENTENCE, generator(seed)).split()
        matched = difflib.SequenceMatcher(a=SENTENCE.split(), b=kept, autojunk=False)
        assert sum(block.size for block in matched.get_matching_blocks()) == len(kept)
        moved = TextSwap(1)(SENTENCE, generator(seed)).split()
        assert sorted(moved) == sorted(SENTENCE.split())
        assert all(a != b for a, b in zip(moved, SENTENCE.split(), strict=True))
    assert len(TextDrop(1)(SENTENCE, generator()).split()) == 1


@pytest.mark.parametrize("severity", [0.2, 0.6])
def test_severity_is_the_share_of_words(severity):
    sentence = " ".join(f"word{index}" for index in range(2000))
    words = sentence.split()
    assert len(TextDrop(severity)(sentence, generator()).split()) / 2000 == pytest.approx(1 - severity, abs=0.04)
    for cls in (TextTypo, TextSwap):
        worse = cls(severity)(sentence, generator()).split()
        assert np.mean([a != b for a, b in zip(words, worse, strict=True)]) == pytest.approx(severity, abs=0.04)


def test_characters_are_the_words_of_scripts_without_spaces():
    sentence = "狗在草地上跑"
    assert len(TextDrop(1)(sentence, generator())) == 1
    swapped = TextSwap(1)(sentence, generator())
    assert all(a != b for a, b in zip(swapped, sentence, strict=True))
    assert sorted(swapped) == sorted(sentence)
    assert len(TextTypo(1)(sentence, generator())) == 12


def test_where_one_word_would_move_alone_a_second_one_goes_with_it():
    moved = [TextSwap(0.5)("one two", generator(seed)) == "two one" for seed in range(3000)]
    assert np.mean(moved) == pytest.approx(1 - 0.5**2, abs=0.03)


def test_spaces_between_words_that_stay_are_kept():
    assert TextSwap(1)("one  two\n", generator()) == "two  one\n"
    assert TextDrop(1)("  one\n", generator()) == "  one\n"
    with pytest.raises(ValueError, match=r"TextDrop takes a string or a list of strings. Received: int 3"):
        TextDrop(0.5)(["a dog", 3], generator())


# Sound


def decibels(sound, noise):
    """Ratio of the powers where there is sound, computed from the bursts that `speech` is made of."""
    there = np.convolve(np.abs(sound), np.ones(64), "same") > 1e-9
    return 10 * np.log10(np.square(sound[there]).mean() / np.square(noise[there]).mean())


@pytest.mark.parametrize("corruptor", [AudioNoise, AudioBabble])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"severity": 0.25}, 20),
        ({"severity": 0.5}, 10),
        ({"severity": 0.75}, 0),
        ({"severity": 1}, -10),
        ({"snr_db": 3.5}, 3.5),
        ({"snr_db": -20}, -20),
    ],
)
def test_signal_to_noise_ratio_is_exact(corruptor, arguments, expected):
    sound = speech() / 20  # room for the loudest noise below 1
    for seed in range(3):
        noise = corruptor(**arguments)(sound, generator(seed)) - sound
        active = active_samples(sound)
        measured = 10 * np.log10(np.square(sound[active]).mean() / np.square(noise[active]).mean())
        assert measured == pytest.approx(expected, abs=0.01)
        assert corruptor(**arguments).decibels == pytest.approx(expected)
    steady = 0.02 * np.sin(np.arange(16000) / 3)
    noise = AudioNoise(**arguments)(steady, generator()) - steady
    assert 10 * np.log10(np.square(steady).mean() / np.square(noise).mean()) == pytest.approx(expected, abs=0.01)


def test_pauses_do_not_count():
    sound = np.concatenate([speech(), np.zeros(5 * RATE)])
    active = active_samples(sound)
    assert active[np.abs(sound) > 1e-3].mean() > 0.99
    assert active.sum() < 0.5 * RATE
    noise = AudioNoise(snr_db=0)(sound, generator()) - sound
    assert decibels(sound, noise) == pytest.approx(0, abs=0.7)  # the blocks at the edges of bursts are half silent


def test_a_loud_sum_is_made_quieter_as_a_whole():
    sound = np.sin(np.arange(8000) / 3)
    mixed = AudioNoise(snr_db=-5)(sound, generator())
    assert np.abs(mixed).max() == pytest.approx(1)
    gain = mixed @ sound / (sound @ sound)
    assert 10 * np.log10(np.square(gain * sound).mean() / np.square(mixed - gain * sound).mean()) == pytest.approx(
        -5, abs=0.5
    )


@pytest.mark.parametrize("cls", CORRUPTORS["audio"][:-1], ids=lambda cls: cls.__name__)
def test_sounds_from_files_and_bytes(cls, tmp_path):
    data = wav_bytes(speech(), RATE)
    (tmp_path / "speech.wav").write_bytes(data)
    array, rate = load_audio(data)
    expected = cls(0.5)((array, rate), generator())[0]
    for value in (data, str(tmp_path / "speech.wav"), tmp_path / "speech.wav"):
        worse, rate = cls(0.5)(value, generator())
        assert rate == RATE
        assert worse.dtype == np.float32
        np.testing.assert_array_equal(worse, expected)


@pytest.mark.parametrize("cls", CORRUPTORS["audio"][:-1], ids=lambda cls: cls.__name__)
def test_sounds_of_every_form(cls):
    stereo = np.stack([speech(), 0.5 * speech()], axis=1).astype("float32")
    worse = cls(0.5)(stereo, generator())
    assert worse.shape == stereo.shape
    assert worse.dtype == np.float32
    array, rate = cls(0.5)((stereo, RATE), generator())
    assert rate == RATE
    assert array.shape == stereo.shape
    assert len(cls(0.5)([speech(), (speech(), RATE)], generator())) == 2
    for silent in (np.zeros(500), np.zeros(0), np.zeros(1)):
        np.testing.assert_array_equal(cls(1)(silent, generator()), silent)
    for wrong in (np.zeros(10, "int16"), np.zeros((2, 3, 4)), 5.0, np.array([0.1, np.nan])):
        with pytest.raises(ValueError, match=r"takes a sound: .*Received: |NaN or infinite"):
            cls(0.5)(wrong, generator())


def test_babble_is_made_of_the_clips_given():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    sound = 0.02 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    noise = AudioBabble(0.5, clips=[(tone, RATE)], num_voices=2)((sound, RATE), generator())[0] - sound
    spectrum = np.abs(np.fft.rfft(noise))
    assert np.argmax(spectrum) == 1000
    # The same clip at twice the rate lasts half as long; resampled, it sounds the same.
    double = np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / (2 * RATE))
    noise = AudioBabble(0.5, clips=[(double, 2 * RATE)], num_voices=2)((sound, RATE), generator())[0] - sound
    assert np.argmax(np.abs(np.fft.rfft(noise))) == 1000


def test_babble_without_clips_sounds_like_speech():
    sound = 0.02 * np.sin(np.arange(4 * 16000) / 7)
    noise = AudioBabble(0.5)((sound, 16000), generator())[0] - sound
    power = np.square(np.abs(np.fft.rfft(noise)))
    hertz = np.fft.rfftfreq(len(noise), 1 / 16000)
    assert power[(hertz > 100) & (hertz < 1000)].sum() > 0.8 * power.sum()
    one = AudioBabble(0.5, num_voices=1)((sound, 16000), generator())[0] - sound
    beats = np.abs(np.fft.rfft(np.sqrt(np.square(one).reshape(-1, 400).mean(axis=1))))
    # 4 seconds of sound at 4 syllables a second.
    assert beats[16] > 3 * np.median(beats[8:32])
    assert np.argmax(beats[8:32]) == 8


def test_overdrive_clips_at_the_peak_there_was():
    sound = speech()
    clipped = AudioClip(0.5)(sound, generator())
    assert np.abs(clipped).max() == pytest.approx(np.abs(sound).max())
    assert (np.abs(clipped) >= 0.999 * np.abs(sound).max()).mean() > 0.2
    np.testing.assert_allclose(clipped[np.abs(sound) < 0.1 * np.abs(sound).max()],
                               10 * sound[np.abs(sound) < 0.1 * np.abs(sound).max()])  # fmt: skip


@pytest.mark.parametrize(("rate", "kept", "lost"), [(8000, 400, 700), (48000, 400, 700), (None, 400, 700)])
def test_band_limit_ends_at_500_hertz(rate, kept, lost):
    time = np.arange(8000) / (rate or 16000)
    low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (kept, lost))
    value = low + high
    worse = AudioBandLimit(1)(value if rate is None else (value, rate), generator())
    np.testing.assert_allclose(samples(worse)[2000:-2000], low[2000:-2000], atol=0.02)


def test_desync_by_a_stated_time_and_either_way():
    sound, rate = speech(), RATE
    late, _ = Desync(0.5, seconds=0.2)((sound, rate), generator())
    np.testing.assert_array_equal(late, np.concatenate([np.zeros(800), sound[:-800]]))
    early, _ = Desync(1, seconds=-0.1)((sound, rate), generator())
    np.testing.assert_array_equal(early, np.concatenate([sound[800:], np.zeros(800)]))
    assert not Desync(1, seconds=99)((sound, rate), generator())[0].any()
    noise = generator().standard_normal(1000)
    starts = [Desync(1)(noise, generator(seed))[0] == 0 for seed in range(40)]
    assert 8 < sum(starts) < 32
    with pytest.raises(ValueError, match=r"needs a sample rate: \(array, rate\)"):
        Desync(1, seconds=0.2)(sound, generator())


@pytest.mark.parametrize("cls", [AudioNoise, AudioBabble, SignalNoise, FeatureNoise])
def test_either_severity_or_decibels(cls):
    assert repr(cls(snr_db=3)) == f"{cls.__name__}(snr_db=3)"
    for wrong in ({}, {"severity": 0.5, "snr_db": 3}, {"snr_db": float("nan")}):
        with pytest.raises(ValueError, match="Received"):
            cls(**wrong)


# Film, signals, features


def test_lost_frames_repeat_the_one_before():
    film = VALUES["video"]
    for seed in range(10):
        numbers = FrameDrop(0.5)(film, generator(seed))[:, 0, 0, 0] // 10
        assert numbers[0] == 1
        assert all(after in (before, place) for place, (before, after) in enumerate(itertools.pairwise(numbers), 2))
    assert (FrameDrop(1)(film, generator()) == film[0]).all()
    black = FrameDrop(0.5, fill="black")(film, generator())
    assert set(np.unique(black)) <= {1, *np.unique(film)}
    assert black.any(axis=(1, 2, 3)).all()  # a frame of zeros would be padding
    many = np.arange(1, 2001, dtype="uint8").reshape(-1, 1, 1, 1) | 2
    assert (FrameDrop(0.3, fill="black")(many, generator()) == 1).mean() == pytest.approx(0.3, abs=0.04)


def test_frames_that_are_files_stay_files(tmp_path):
    paths = []
    for index in range(6):
        paths.append(str(tmp_path / f"{index}.png"))
        Image.fromarray(np.full((4, 5, 3), 50 + index, "uint8")).save(paths[-1])
    assert set(FrameDrop(0.6)(paths, generator())) < set(paths)
    frames = FrameDrop(0.6, fill="black")(paths, generator())
    black = [frame for frame in frames if isinstance(frame, bytes)]
    assert black
    assert np.asarray(Image.open(io.BytesIO(black[0]))).shape == (4, 5, 3)
    with pytest.raises(ValueError, match=r"`fill` must be one of"):
        FrameDrop(0.5, fill="grey")
    with pytest.raises(ValueError, match=r"FrameDrop takes a film.*Received: ndarray\(5,\)"):
        FrameDrop(0.5)(np.zeros(5), generator())


def test_films_from_files(tmp_path):
    film = [Image.fromarray(np.full((8, 10, 3), 40 * index, "uint8")) for index in range(1, 7)]
    film[0].save(tmp_path / "film.gif", save_all=True, append_images=film[1:], duration=100)
    for value in (str(tmp_path / "film.gif"), (tmp_path / "film.gif").read_bytes()):
        frames = FrameDrop(0.5)(value, generator(1))
        assert frames.shape == (6, 8, 10, 3)
        lost = generator(1).random(6) < 0.5
        np.testing.assert_array_equal(np.diff(frames[:, 0, 0, 0].astype(int)) == 0, lost[1:])
    assert FrameDrop(0.5, num_frames=3)(value, generator()).shape == (3, 8, 10, 3)
    with pytest.raises(ValueError, match=r"`num_frames` must be at least 1"):
        FrameDrop(0.5, num_frames=0)


@pytest.mark.parametrize("decibels", [20, 0, -10])
def test_signal_noise_is_exact_in_each_channel_and_spares_padding(decibels):
    signal = np.concatenate([VALUES["signal"], np.zeros((50, 8))])
    noise = SignalNoise(snr_db=decibels)(signal, generator()) - signal
    assert not noise[200:].any()
    ratio = 10 * np.log10(signal[:200].var(axis=0) / np.square(noise[:200]).mean(axis=0))
    np.testing.assert_allclose(ratio, decibels, atol=0.01)
    assert SignalNoise(0.5)(signal[:, 0].tolist(), generator()).shape == (250,)
    flat = np.full((20, 2), 3.0)
    np.testing.assert_array_equal(SignalNoise(1)(flat, generator()), flat)


def test_channels_are_lost_whole_and_one_stays():
    signal = VALUES["signal"]
    for severity, least, most in ((0.5, 0.35, 0.65), (1, 0.87, 0.88)):
        lost = [(ChannelDrop(severity)(signal, generator(seed)) == 0).all(axis=0) for seed in range(40)]
        assert least < np.mean(lost) < most
        assert not np.all(lost, axis=1).any()
    worse = ChannelDrop(0.5)(signal, generator())
    kept = (worse != 0).all(axis=0)
    np.testing.assert_array_equal(worse[:, kept], signal[:, kept])
    with pytest.raises(ValueError, match=r"at least two channels .*Received: \(9, 1\)"):
        ChannelDrop(0.5)(np.ones((9, 1)), generator())


def test_feature_noise_knows_the_scale_of_each_feature():
    features = np.concatenate([generator(3).standard_normal((3000, 4)) * [0.01, 1, 100, 0], np.zeros((10, 4))])
    noise = FeatureNoise(snr_db=0)(features, generator()) - features
    assert not noise[3000:].any()
    np.testing.assert_allclose(noise[:3000].std(axis=0), [0.01, 1, 100, 0], rtol=0.05)
    vector = FeatureNoise(snr_db=0, scale=[1, 2])(np.zeros((4000, 2)) + 1, generator()) - 1
    np.testing.assert_allclose(vector.std(axis=0), [1, 2], rtol=0.05)
    holed = np.array([[1.0, np.nan], [2.0, 3.0], [3.0, 5.0]])
    assert np.isfinite(FeatureNoise(0.5)(holed, generator())).sum() == 5
    with pytest.raises(ValueError, match=r"`scale` must be a number or an array \(2,\).*Received: shape \(3,\)"):
        FeatureNoise(0.5, scale=[1, 2, 3])(np.ones(2), generator())
    for cls in (SignalNoise, FeatureNoise, ChannelDrop):
        with pytest.raises(ValueError, match=rf"{cls.__name__} takes numbers with .*Received: str"):
            cls(0.5)("a dog", generator())


def test_missing_is_as_likely_as_it_says():
    gone = [Missing(0.3)("a.jpg", generator(seed)) is None for seed in range(1000)]
    assert np.mean(gone) == pytest.approx(0.3, abs=0.05)
    fewer = [Missing(0.2)("a.jpg", generator(seed)) is None for seed in range(1000)]
    assert all(more or not less for less, more in zip(fewer, gone, strict=True))
    assert all(Missing(1)("a.jpg", generator(seed)) is None for seed in range(50))


# Records


def sample_records():
    return from_arrays(
        image=[photo(), None, photo(40, 40)],
        text=["a brown dog runs", "", SENTENCE],
        label=["dog", "cat", "dog"],
    )


def same(first, second):
    return all(pickle.dumps(a) == pickle.dumps(b) for a, b in zip(first, second, strict=True))


def test_records_are_corrupted_when_asked_for():
    records = sample_records()
    worse = corrupt(records, image=ImageNoise(0.5), text=[TextTypo(0.5), TextDrop(0.5)])
    assert repr(worse).endswith("; image: ImageNoise(0.5); text: TextTypo(0.5); text: TextDrop(0.5)>")
    assert len(worse) == 3
    assert worse[1]["image"] is None
    assert worse[1]["text"] == ""
    assert [record["label"] for record in worse] == ["dog", "cat", "dog"]
    assert (worse[0]["image"] != photo()).any()
    assert (records[0]["image"] == photo()).all()
    assert same(worse, pickle.loads(pickle.dumps(worse)))
    assert same(worse[1:], [worse[1], worse[2]])
    assert same(worse, corrupt(list(records), image=ImageNoise(0.5), text=[TextTypo(0.5), TextDrop(0.5)]))
    assert same(records, corrupt(records, image=ImageNoise(0), text=TextDrop(0)))


def test_what_is_drawn_depends_on_seed_row_and_modality_alone():
    image = photo()
    records = from_arrays(image=[image, image], left=[image, image], text=["a dog", "a cat"])
    worse = corrupt(records, image=ImageNoise(0.5), left=ImageNoise(0.5))
    drawn = [worse[0]["image"], worse[1]["image"], worse[0]["left"],
             corrupt(records, seed=1, image=ImageNoise(0.5))[0]["image"]]  # fmt: skip
    assert len({array.tobytes() for array in drawn}) == 4
    with_text = corrupt(records, text=TextDrop(0.5), image=ImageNoise(0.5))
    np.testing.assert_array_equal(with_text[0]["image"], worse[0]["image"])


def test_official_splits_names_and_problems_go_along():
    records = Records([{"text": f"sentence number {row}"} for row in range(4)], name="four", splits={"train": [0, 2]})
    records.problems.add("row 9", "it is broken")
    worse = corrupt(records, text=TextSwap(1))
    train, _, test = worse.official_split()
    assert (len(train), len(test)) == (2, 0)
    assert train[1]["text"] == worse[2]["text"] != records[2]["text"]
    assert worse.problems == records.problems
    assert "four" in repr(train)
    assert "TextSwap(1)" in repr(train)
    assert len(corrupt(test, text=TextSwap(1))) == 0


def test_what_stands_for_nothing_is_left_as_it_is():
    records = from_arrays(image=["", float("nan"), [], photo()], text=["a dog"] * 4)
    worse = corrupt(records, image=ImageBlur(0.5))
    assert worse[0]["image"] == ""
    assert np.isnan(worse[1]["image"])
    assert worse[2]["image"] == []
    assert worse[3]["image"].shape == photo().shape


def test_a_chain_ends_where_the_value_is_gone():
    records = from_arrays(text=["a dog"] * 50)
    worse = corrupt(records, text=[Missing(0.5), lambda value, rng: value.upper()])
    assert {record["text"] for record in worse} == {None, "A DOG"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"imgae": ImageBlur(0.5)},
            r"No record of arrays has \['imgae'\]. Received: records with \['image', 'label', ",
        ),
        ({}, r"needs a corruptor, such as"),
        ({"image": ImageBlur}, r"'image' takes a corruptor with its severity, such as .*Received: "),
        ({"image": 0.5}, r"'image' takes a corruptor"),
        ({"image": []}, r"'image' takes a corruptor"),
        ({"image": ImageBlur(0.5), "seed": -1}, r"`seed` must be an integer of at least 0. Received: seed=-1"),
    ],
)
def test_wrong_calls(arguments, message):
    with pytest.raises(ValueError, match=message):
        corrupt(sample_records(), **arguments)


def test_a_modality_that_is_missing_throughout_is_not_there():
    with pytest.raises(ValueError, match=r"No record of arrays has \['audio'\]"):
        corrupt(from_arrays(text=["a"], audio=[None]), audio=AudioNoise(0.5))


def test_a_bad_file_is_named_with_its_record():
    records = from_arrays(image=[photo(), "nowhere.jpg"], label=[0, 1])
    worse = corrupt(records, image=ImageBlur(0.5))
    assert worse[0]["image"].shape == (60, 80, 3)
    with pytest.raises(ValueError, match=r"arrays, record 1 \[image\]: no such file: 'nowhere.jpg'"):
        worse[1]


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cls, modality in CASES:
            cls(1)(VALUES[modality], generator())
