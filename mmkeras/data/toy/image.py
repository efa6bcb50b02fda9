"""Pictures of toy scenes: anti-aliased shapes on a 4 x 4 grid of cells, one object per cell."""

import numpy as np

IMAGE_SIZE = 64
CELL_SIZE = 16
GRID_SIZE = IMAGE_SIZE // CELL_SIZE
QUADRANT_SIZE = GRID_SIZE // 2
NUM_CELLS = GRID_SIZE**2
MAX_DISTRACTORS = NUM_CELLS - QUADRANT_SIZE**2

COLOURS = np.array(
    [[212, 36, 44], [44, 160, 64], [48, 84, 214], [240, 214, 44], [146, 60, 176], [246, 138, 28]], dtype="float32"
)

RADII = np.array([4.0, 7.0], dtype="float32")
# The largest shift that keeps an object of either size inside its cell.
SHIFTS = np.array([2.5, 0.5], dtype="float32")

# Bounds the memory of the float canvas to about 25 MB.
CHUNK_SIZE = 512


def render_images(attributes: dict, *, max_distractors: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one picture per scene.

    The quadrant `position` holds `count` equal objects. Up to `max_distractors` grey shapes stand in the other
    quadrants; grey is no colour of the world, so the scene stays unambiguous.

    Args:
        attributes: Dict with one index array `(batch,)` per attribute.
        max_distractors: Each picture has between none and this many grey shapes, all numbers equally often.
        rng: NumPy random generator.

    Returns:
        Array `(batch, 64, 64, 3)`, uint8.
    """
    batch = len(attributes["shape"])
    images = np.empty((batch, IMAGE_SIZE, IMAGE_SIZE, 3), dtype="uint8")
    for start in range(0, batch, CHUNK_SIZE):
        rows = slice(start, min(start + CHUNK_SIZE, batch))
        chunk = {name: values[rows] for name, values in attributes.items()}
        images[rows] = _render_chunk(chunk, max_distractors, rng)
    return images


def signed_distance(shape: int, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Distance of each point to the edge of a shape around the origin, negative inside (y points down).

    `shape` is an index into `("circle", "square", "triangle", "star")`. The factors below give the four shapes
    about the same width for the same `radius`.
    """
    if shape == 0:
        return np.hypot(x, y) - radius
    if shape == 1:
        return np.maximum(np.abs(x), np.abs(y)) - 0.86 * radius
    if shape == 2:
        outer = 1.2 * radius
        y = y - outer / 4  # the bounding box, not the centroid, is centred in the cell
        slopes = np.sin(np.pi / 3) * np.abs(x) - np.cos(np.pi / 3) * y
        return np.maximum(slopes, y) - outer / 2
    outer, inner = 1.1 * radius, 0.5 * radius
    half_wedge = np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + half_wedge) % (2 * half_wedge) - half_wedge)
    distance = np.hypot(x, y)
    edge_x = inner * np.cos(half_wedge) - outer
    edge_y = inner * np.sin(half_wedge)
    across = (distance * np.cos(angle) - outer) * edge_y - distance * np.sin(angle) * edge_x
    return across / np.hypot(edge_x, edge_y)


def _render_chunk(attributes, max_distractors, rng):
    batch = len(attributes["shape"])
    is_target, is_distractor = _place(attributes, max_distractors, rng)
    sample, cell = np.nonzero(is_target | is_distractor)  # (object,)
    target = is_target[sample, cell]
    num_objects = len(sample)

    shape = np.where(target, attributes["shape"][sample], rng.integers(4, size=num_objects))
    size = np.where(target, attributes["size"][sample], rng.integers(2, size=num_objects))
    grey = rng.uniform(110, 165, size=(num_objects, 1)).astype("float32")
    paint = COLOURS[attributes["colour"]] + rng.uniform(-10, 10, size=(batch, 3))
    colour = np.where(target[:, None], paint[sample], grey).astype("float32")  # (object, 3)
    coverage = _coverage(shape, size, rng)[..., None]  # (object, 16, 16, 1)

    shade = rng.uniform(222, 246, size=(batch, 1)) + rng.uniform(-4, 4, size=(batch, 3))
    canvas = np.empty((batch, GRID_SIZE, CELL_SIZE, GRID_SIZE, CELL_SIZE, 3), dtype="float32")
    canvas[:] = shade[:, None, None, None, None, :]
    row, column = np.divmod(cell, GRID_SIZE)
    backdrop = canvas[sample, row, :, column]  # (object, 16, 16, 3)
    canvas[sample, row, :, column] = backdrop + coverage * (colour[:, None, None, :] - backdrop)
    canvas += 3 * rng.standard_normal(canvas.shape, dtype="float32")
    return np.clip(np.rint(canvas), 0, 255).astype("uint8").reshape(batch, IMAGE_SIZE, IMAGE_SIZE, 3)


def _place(attributes, max_distractors, rng):
    """Boolean masks `(batch, cell)` of the cells that hold a target and a distractor."""
    batch = len(attributes["shape"])
    row, column = np.divmod(np.arange(NUM_CELLS), GRID_SIZE)
    quadrant = row // QUADRANT_SIZE * 2 + column // QUADRANT_SIZE  # (cell,)
    inside = quadrant == attributes["position"][:, None]  # (batch, cell)
    num_targets = attributes["count"] + 1
    num_distractors = rng.integers(max_distractors + 1, size=batch)
    return tuple(
        _ranks(np.where(free, rng.random((batch, NUM_CELLS)), 2.0)) < number[:, None]
        for free, number in ((inside, num_targets), (~inside, num_distractors))
    )


def _ranks(scores):
    return scores.argsort(axis=1).argsort(axis=1)


def _coverage(shape, size, rng):
    """Share `(object, 16, 16)` of each pixel of the cell that the object covers."""
    num_objects = len(shape)
    radius = RADII[size] * rng.uniform(0.95, 1.03, size=num_objects)
    shift = SHIFTS[size] * rng.uniform(-1, 1, size=(2, num_objects))
    angle = rng.uniform(-0.12, 0.12, size=num_objects)
    coverage = np.empty((num_objects, CELL_SIZE, CELL_SIZE), dtype="float32")
    centre = (CELL_SIZE - 1) / 2
    pixel = np.arange(CELL_SIZE, dtype="float32") - centre
    for index in range(4):
        chosen = shape == index
        x = pixel[None, None, :] - shift[0, chosen, None, None]
        y = pixel[None, :, None] - shift[1, chosen, None, None]
        cosine, sine = np.cos(angle[chosen, None, None]), np.sin(angle[chosen, None, None])
        distance = signed_distance(index, cosine * x + sine * y, cosine * y - sine * x, radius[chosen, None, None])
        coverage[chosen] = np.clip(0.5 - distance, 0, 1)
    return coverage
