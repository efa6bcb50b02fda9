"""Broken and odd values, each either fine or named in the report with its reason."""

import io
import re
import struct
import zlib
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from mmkeras.data.records import Records
from mmkeras.data.report import inspect

av = pytest.importorskip("av")
soundfile = pytest.importorskip("soundfile")


class Case(NamedTuple):
    """A value, the marks that it has, and what its reason matches if it is broken."""

    key: str
    value: object
    marks: tuple = ()
    reason: str = ""


def photo(height=24, width=32, channels=3):
    ramp = np.linspace(0, 255, height * width * channels).reshape(height, width, channels)
    return ramp.astype("uint8") if channels > 1 else ramp[..., 0].astype("uint8")


def encoded(pixels, form, mode=None, **options):
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, form, **options)
    return buffer.getvalue()


def animated(form):
    frames = [Image.fromarray(photo() // (1 + turn)) for turn in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), "JPEG", exif=exif)


def png(width, height, depth, color, rows=b""):
    """A PNG made by hand: depths and sizes that Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_png():
    levels = np.linspace(0, 65535, 4 * 5 * 3).astype(">u2").reshape(4, 15)
    return png(5, 4, 16, 2, b"".join(b"\0" + row.tobytes() for row in levels))


def tone(seconds=0.25, rate=8000, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels, axis=1)


def sound(samples, form="WAV", subtype=None, rate=8000):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def clip(form="mp4", codec="mpeg4", with_sound=False, count=24):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        pictures = container.add_stream(codec, rate=24)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream("aac", rate=16000, layout="mono") if with_sound else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(photo(48, 64), 2 * number, axis=1), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
        if track:
            samples = tone(count / 24, 16000).T.astype("float32")
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(track.encode(frame))
            container.mux(track.encode())
    return buffer.getvalue()


JPEG = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype("uint8"), "JPEG")
PNG = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype("uint8"), "PNG")
WAV = sound(tone())
HTML = b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
# Longer than what is decoded at once, with something at the end only.
LATE = np.where(np.arange(130_000) == 129_990, 0.5, 0.0)
LATE_NAN = np.where(LATE > 0, np.nan, LATE)
FLOAT_NAN = np.where(np.arange(2000) == 100, np.nan, tone()[:, 0])

PICTURES = {
    "jpeg": Case("a.jpg", JPEG),
    "jpeg_upper_case": Case("a.JPEG", JPEG),
    "progressive": Case("a.jpg", encoded(photo(), "JPEG", progressive=True)),
    "grey_jpeg": Case("a.jpg", encoded(photo(channels=1), "JPEG")),
    "cmyk_jpeg": Case("a.jpg", encoded(photo(), "JPEG", "CMYK"), ("cmyk",)),
    "trailing_bytes": Case("a.jpg", JPEG + b"\0" * 100),
    "broken_exif": Case("a.jpg", encoded(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
    **{f"exif_{turn}": Case("a.jpg", turned(turn), ("rotated",) if turn > 1 else ()) for turn in range(1, 9)},
    "grey_png_16_bit": Case("a.png", encoded((photo(channels=1).astype("uint16") * 257), "PNG"), ("16-bit",)),
    "rgb_png_16_bit": Case("a.png", deep_png(), ("16-bit",)),
    "alpha_png": Case("a.png", encoded(photo(channels=4), "PNG"), ("alpha",)),
    "grey_alpha_png": Case("a.png", encoded(photo(channels=2), "PNG"), ("alpha",)),
    "palette_png": Case("a.png", encoded(photo(), "PNG", "P")),
    "palette_png_transparent": Case("a.png", encoded(photo(), "PNG", "P", transparency=3), ("alpha",)),
    "black_and_white_png": Case("a.png", encoded(photo(), "PNG", "1")),
    "animated_gif": Case("a.gif", animated("GIF"), ("animated",)),
    "animated_png": Case("a.png", animated("PNG"), ("animated",)),
    "animated_webp": Case("a.webp", animated("WEBP"), ("animated",)),
    "webp": Case("a.webp", encoded(photo(), "WEBP")),
    "bmp": Case("a.bmp", encoded(photo(), "BMP")),
    "bmp_32_bit": Case("a.bmp", encoded(photo(channels=4), "BMP")),
    "tiff": Case("a.tif", encoded(photo(), "TIFF")),
    "png_named_jpg": Case("a.jpg", PNG, ("wrong extension",)),
    "single_colour": Case("a.png", encoded(np.full((40, 40, 3), 7, "uint8"), "PNG"), ("blank",)),
    "jpeg_bytes": Case("", JPEG),
    "grey_array": Case("", photo(channels=1)),
    "array_0_to_1": Case("", photo() / 255.0, ("0..1 range",)),
    "truncated_jpeg": Case("a.jpg", JPEG[: len(JPEG) // 2], reason="truncated"),
    "truncated_png": Case("a.png", PNG[: len(PNG) // 2], reason="truncated"),
    "truncated_bytes": Case("", JPEG[: len(JPEG) // 2], reason="truncated"),
    "jpeg_header_only": Case("a.jpg", JPEG[:20], reason="a broken picture: it looks like a JPEG"),
    "png_bad_checksum": Case("a.png", PNG[:60] + b"\xff\0\xff" + PNG[63:], reason="not a readable picture"),
    "empty": Case("a.jpg", b"", reason=r"0 bytes"),
    "one_zero_byte": Case("a.jpg", b"\0", reason="nothing but zeros"),
    "zeros": Case("a.jpg", b"\0" * 1000, reason="nothing but zeros"),
    "text_named_jpg": Case("a.jpg", b"see attachment\n", reason="looks like text, 'see attachment'"),
    "page_named_jpg": Case("a.jpg", HTML, reason="looks like an HTML page"),
    "wav_named_jpg": Case("a.jpg", WAV, reason="looks like a WAV sound"),
    "git_lfs_pointer": Case("a.jpg", LFS, reason="git lfs pull"),
    "huge_header": Case("a.png", png(60_000, 60_000, 8, 2), reason="too many pixels"),
    "no_such_file": Case("b.jpg", None, reason="no such file"),
    "folder_named_jpg": Case("c.jpg", ..., reason="cannot read"),
    "two_channel_array": Case("", photo(channels=2), reason=r"\(24, 32, 2\)"),
    "nan_array": Case("", np.full((4, 4, 3), np.nan), reason="NaN"),
    "number": Case("", 17, reason="int"),
}

SOUNDS = {
    "wav_8_bit": Case("a.wav", sound(tone(), subtype="PCM_U8")),
    "wav_16_bit": Case("a.wav", WAV),
    "wav_24_bit": Case("a.wav", sound(tone(), subtype="PCM_24")),
    "wav_32_bit": Case("a.wav", sound(tone(), subtype="PCM_32")),
    "wav_float": Case("a.wav", sound(tone(), subtype="FLOAT")),
    "wav_stereo": Case("a.wav", sound(tone(channels=2))),
    "wav_bytes": Case("", WAV),
    "flac": Case("a.flac", sound(tone(), "FLAC")),
    "ogg": Case("a.ogg", sound(tone(), "OGG")),
    "mp3": Case("a.mp3", sound(tone(), "MP3")),
    "flac_named_wav": Case("a.wav", sound(tone(), "FLAC"), ("wrong extension",)),
    "silence": Case("a.wav", sound(np.zeros(800)), ("silent",)),
    "silent_until_its_end": Case("a.wav", sound(LATE, rate=1000)),
    "nan_at_its_end": Case("a.wav", sound(LATE_NAN, subtype="FLOAT", rate=1000), reason="NaN"),
    "silent_array": Case("", (np.zeros(800), 8000), ("silent",)),
    "too_loud": Case("", 3 * tone()[:, 0], ("too loud",)),
    "truncated_wav": Case("a.wav", WAV[: len(WAV) // 2], reason="breaks off"),
    "wav_header_only": Case("a.wav", sound(np.zeros(0)), reason="no samples"),
    "nan_wav": Case("a.wav", sound(FLOAT_NAN, subtype="FLOAT"), reason="NaN"),
    "nan_array": Case("", FLOAT_NAN, reason="NaN"),
    "integer_array": Case("", (tone() * 32767).astype("int16"), reason="32768"),
    "three_axes": Case("", np.zeros((2, 3, 4)), reason=r"\(2, 3, 4\)"),
    "truncated_flac": Case("a.flac", sound(tone(2.0), "FLAC")[:3000], reason="breaks off|cannot be decoded"),
    "text_named_wav": Case("a.wav", b"no sound here, sorry", reason="looks like text"),
    "empty": Case("a.wav", b"", reason="0 bytes"),
    "no_such_file": Case("b.wav", None, reason="no such file"),
}

MP4 = clip(with_sound=True)
LONG = clip("matroska", count=72)
VIDEOS = {
    "mp4": Case("a.mp4", MP4),
    "mp4_bytes": Case("", MP4),
    "without_sound": Case("a.mp4", clip(), ("no sound",)),
    "mpeg": Case("a.mpg", clip("mpeg", "mpeg1video"), ("no sound",)),
    "matroska": Case("a.mkv", LONG, ("no sound",)),
    "animated_gif": Case("a.gif", animated("GIF"), ("no sound",)),
    "array": Case("", np.stack([photo(), photo() // 2])),
    "still_array": Case("", np.stack([photo(), photo()]), ("still",)),
    "frames": Case("", [photo(), PNG]),
    "truncated_mp4": Case("a.mp4", MP4[: len(MP4) // 2], reason="not a readable sound or video"),
    "truncated_mkv": Case("a.mkv", LONG[: len(LONG) // 3], reason="breaks off"),
    "sound_only": Case("a.mp4", WAV, reason="no video track"),
    "text_named_mp4": Case("a.mp4", b"no clip here, sorry", reason="looks like text"),
    "page_named_mp4": Case("a.mp4", HTML, reason="looks like an HTML page"),
    "empty": Case("a.mp4", b"", reason="0 bytes"),
    "no_such_file": Case("b.mp4", None, reason="no such file"),
    "five_axes": Case("", np.zeros((2, 2, 4, 4, 3)), reason=r"\(2, 2, 4, 4, 3\)"),
    "no_frames": Case("", np.zeros((0, 4, 4, 3), "uint8"), reason=r"\(0, 4, 4, 3\)"),
    "nan_array": Case("", np.full((2, 4, 4, 3), np.nan), reason="NaN"),
    "broken_frame": Case("", [photo(), PNG[:99]], reason="item 2 of 2: .*truncated"),
}

TEXTS = {
    "emoji": Case("", "a dog \U0001f436 runs \U0001f468\u200d\U0001f469\u200d\U0001f467"),
    "chinese": Case("", "一只狗在草地上奔跑。"),
    "arabic": Case("", "كلب يجري في الحقل"),
    "ten_thousand_words": Case("", "dog " * 10_000),
    "two_lines": Case("", "a dog\n\truns"),
    "utf8_bytes": Case("", "ein Hund läuft".encode()),
    "five_captions": Case("", ["a dog", "one dog", "the dog", "dog", "dogs"]),
    "replacement_character": Case("", "a caf\ufffd", ("odd characters",)),
    "control_characters": Case("", "a dog\x00runs", ("odd characters",)),
    "same_caption_twice": Case("", ["a dog", "a dog"], ("repeated",)),
    "token_ids": Case("", np.array([2, 17, 3])),
    "nothing": Case("", "", reason="empty text"),
    "spaces": Case("", " \t\n", reason="nothing but spaces"),
    "half_a_surrogate": Case("", "a dog \ud83d", reason=r"surrogate U\+D83D\) at 6"),
    "latin_1_bytes": Case("", "läuft".encode("latin-1"), reason="not UTF-8: byte 0xe4 at 1"),
    "number": Case("", 3.5, reason="expected a string.*3.5"),
    "blank_among_captions": Case("", ["a dog", " ", "dogs"], reason="item 2 of 3: nothing but spaces"),
    "none_among_captions": Case("", ["a dog", None], reason="item 2 of 2: expected a string"),
}

CASES = {
    f"{key}-{name}": case._replace(key=key, value=(case.key, case.value))
    for key, cases in {"image": PICTURES, "audio": SOUNDS, "video": VIDEOS, "text": TEXTS}.items()
    for name, case in cases.items()
}


def on_disk(folder, name, value):
    """The value itself, or the path of a file that holds it."""
    if not name:
        return value
    path = folder / name
    folder.mkdir()
    if value is ...:
        path.mkdir()
    elif value is not None:
        path.write_bytes(value)
    return str(path)


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    records = [{case.key: on_disk(root / str(row), *case.value)} for row, case in enumerate(CASES.values())]
    return inspect(Records(records, name="odd files"))


@pytest.mark.parametrize("name", CASES)
def test_odd_value_is_fine_or_named(report, name):
    case, row = CASES[name], list(CASES).index(name)
    problems = [problem for problem, where in zip(report.problems, report.problem_rows, strict=True) if where == row]
    marks = {mark for mark, keys in report.marked.items() if row in keys.get(case.key, ())}
    if not case.reason:
        assert problems == []
        assert marks == set(case.marks)
        return
    (problem,) = problems
    assert problem.key == case.key
    assert marks == {"broken"}
    assert f"row {row}" in problem.where
    assert re.search(case.reason, problem.reason), problem.reason
    assert "object at 0x" not in problem.reason
    assert not case.value[0] or case.value[0] in str(problem)


def test_every_odd_value_prints_plots_and_saves(report, tmp_path):
    assert max(map(len, str(report).splitlines())) <= 100
    str(report).encode("utf-8")
    report.to_html(tmp_path / "odd.html")
    assert "looks like an HTML page" in (tmp_path / "odd.html").read_text(encoding="utf-8")
