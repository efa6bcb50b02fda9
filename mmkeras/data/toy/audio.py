"""Sounds of toy scenes: as many strokes as there are objects, of their material, size and melody."""

import numpy as np

SAMPLE_RATE = 8000
NUM_FRAMES = SAMPLE_RATE

# Per material: frequency ratios and loudness of the partials, and seconds until a stroke falls to 1/e.
# Wood is dull and short, metal bright, inharmonic and long, glass high and clear.
TIMBRES = (
    ((1.0, 2.0, 3.0), (1.0, 0.35, 0.12), 0.045),
    ((1.0, 1.83, 2.76, 4.07, 5.40), (1.0, 0.8, 0.8, 0.7, 0.6), 0.14),
    ((1.0, 3.0, 5.95), (0.3, 1.0, 0.45), 0.08),
)

# An octave apart, so that the glide of half an octave and the detuning never make them meet.
PITCHES = np.array([500.0, 250.0])
GLIDE_OCTAVES = 0.5
GLIDE_SECONDS = 0.12
ATTACK_SECONDS = 0.004
STROKE_SPACING = 0.225

# Bounds the memory of the phases of all partials to about 30 MB.
CHUNK_SIZE = 256


def render_audio(attributes: dict, *, rng: np.random.Generator) -> np.ndarray:
    """Play one second of sound per scene.

    A scene sounds as `count` strokes. `material` sets the timbre, `size` the pitch (small is high), and `melody`
    whether the pitch of each stroke glides up or down. Onsets, pitch, phases and gains vary a little, and there is
    faint noise.

    Args:
        attributes: Dict with one index array `(batch,)` per attribute.
        rng: NumPy random generator.

    Returns:
        Array `(batch, 8000)`, float32 in -1..1, at 8,000 Hz.
    """
    batch = len(attributes["material"])
    audio = np.empty((batch, NUM_FRAMES), dtype="float32")
    for material in range(len(TIMBRES)):
        rows = np.flatnonzero(attributes["material"] == material)
        for start in range(0, len(rows), CHUNK_SIZE):
            chunk = rows[start : start + CHUNK_SIZE]
            audio[chunk] = _render_chunk({name: values[chunk] for name, values in attributes.items()}, material, rng)
    return audio


def _render_chunk(attributes, material, rng):
    batch = len(attributes["size"])
    decay = TIMBRES[material][-1]
    stroke_length = min(int(6 * decay * SAMPLE_RATE), NUM_FRAMES)
    # Strokes may ring past the end of the second, which is cut off below.
    audio = np.zeros((batch, NUM_FRAMES + stroke_length), dtype="float32")
    pitch = PITCHES[attributes["size"]] * rng.uniform(0.93, 1.07, size=batch)
    direction = 1 - 2 * attributes["melody"]
    begin = rng.uniform(0.02, 0.08, size=batch)
    for number in range(attributes["count"].max() + 1):
        rows = np.flatnonzero(attributes["count"] >= number)
        onset = begin[rows] + number * STROKE_SPACING + rng.uniform(-0.015, 0.015, size=len(rows))
        frame = (onset * SAMPLE_RATE).astype(int)[:, None] + np.arange(stroke_length)
        sound = stroke(pitch[rows], direction[rows], material, stroke_length, rng)
        audio[rows[:, None], frame] += rng.uniform(0.8, 1.0, size=(len(rows), 1)).astype("float32") * sound
    audio = audio[:, :NUM_FRAMES]
    gain = rng.uniform(0.4, 0.9, size=(batch, 1)).astype("float32")
    audio = gain * audio / np.abs(audio).max(axis=1, keepdims=True)
    return np.clip(audio + 0.004 * rng.standard_normal(audio.shape, dtype="float32"), -1, 1)


def stroke(pitch, direction, material, stroke_length, rng):
    """One stroke per row, `(batch, time)`: decaying partials whose pitch glides around `pitch`."""
    ratios, loudness, decay = TIMBRES[material]
    time = np.arange(stroke_length) / SAMPLE_RATE
    # The phase is the integral of the frequency, the glide being the same for all pitches.
    progress = GLIDE_OCTAVES * (np.minimum(time / GLIDE_SECONDS, 1) - 0.5)
    glide = np.stack([np.cumsum(2.0**progress), np.cumsum(2.0**-progress)]) / SAMPLE_RATE  # (melody, time)
    turns = pitch[:, None] * glide[(1 - direction) // 2]  # (batch, time)
    envelope = np.minimum(time / ATTACK_SECONDS, 1) * np.exp(-time / decay)
    sound = np.zeros(turns.shape, dtype="float32")
    for ratio, amplitude in zip(ratios, loudness, strict=True):
        phase = ratio * turns + rng.random((len(turns), 1))
        # Whole turns are dropped first: float32 is then precise, and much faster than float64.
        phase -= np.floor(phase)
        sound += amplitude * np.sin(2 * np.pi * phase.astype("float32"))
    return sound * envelope.astype("float32")
