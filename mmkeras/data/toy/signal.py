"""Signals of toy scenes: what a sensor with three axes records while the owner shakes the thing."""

import numpy as np

NUM_STEPS = 96
NUM_CHANNELS = 3

# Shakes per recording: small things are shaken faster. No jitter makes the two meet.
SHAKES = np.array([14.0, 6.0])


def render_signals(attributes: dict, *, rng: np.random.Generator) -> np.ndarray:
    """Record one signal per scene.

    `owner` sets the axis that swings most (Ann x, Ben y, Cleo z), `size` how fast it swings, `melody` whether the
    swings grow or shrink. Phases, gains and offsets vary, and there is noise.

    Args:
        attributes: Dict with one index array `(batch,)` per attribute.
        rng: NumPy random generator.

    Returns:
        Array `(batch, 96, 3)`, float32.
    """
    batch = len(attributes["owner"])
    time = np.arange(NUM_STEPS) / NUM_STEPS
    shakes = SHAKES[attributes["size"]] * rng.uniform(0.85, 1.15, size=batch)
    phase = rng.uniform(0, 1, size=(batch, 1, NUM_CHANNELS))
    swing = np.sin(2 * np.pi * (shakes[:, None, None] * time[:, None] + phase))  # (batch, step, axis)
    rising = attributes["melody"][:, None] == 0
    envelope = np.where(rising, 0.3 + 0.7 * time, 1.0 - 0.7 * time)
    gain = rng.uniform(0.2, 0.4, size=(batch, NUM_CHANNELS))
    gain[np.arange(batch), attributes["owner"]] = rng.uniform(0.8, 1.0, size=batch)
    offset = rng.normal(0, 0.3, size=(batch, 1, NUM_CHANNELS))
    loudness = rng.uniform(0.7, 1.3, size=(batch, 1, 1))
    signal = loudness * gain[:, None] * envelope[..., None] * swing + offset
    return (signal + rng.normal(0, 0.05, size=signal.shape)).astype("float32")
