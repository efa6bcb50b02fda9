"""Slow and obvious NumPy versions of the losses: one pair, one row, one direction at a time."""

import math

import numpy as np


def unit(rows):
    rows = np.asarray(rows, "float64")
    return np.stack([row / np.linalg.norm(row) if np.linalg.norm(row) > 0 else row for row in rows])


class Pairs:
    """Which pairs of two modalities take part, and which of them belong together."""

    def __init__(self, first, second, first_groups=None, second_groups=None, first_valid=None, second_valid=None):
        rows, columns = len(first), len(second)
        first_groups = np.arange(rows) if first_groups is None else first_groups
        second_groups = np.arange(columns) if second_groups is None else second_groups
        first_valid = np.ones(rows, bool) if first_valid is None else first_valid
        second_valid = np.ones(columns, bool) if second_valid is None else second_valid
        self.scores = np.zeros((rows, columns))
        self.distances = np.zeros((rows, columns))
        self.positives, self.negatives = [], []
        a, b = (unit(np.where(v[:, None], x, 0.0)) for x, v in ((first, first_valid), (second, second_valid)))
        for i, j in np.ndindex(rows, columns):
            self.scores[i, j] = sum(p * q for p, q in zip(a[i], b[j], strict=True))
            self.distances[i, j] = sum((p - q) ** 2 for p, q in zip(a[i], b[j], strict=True))
            if first_valid[i] and second_valid[j]:
                (self.positives if first_groups[i] == second_groups[j] else self.negatives).append((i, j))

    def anchors(self):
        """For each direction, the scores of positives and of negatives of each anchor that has both."""
        for axis in (0, 1):
            anchors = []
            for anchor in range(self.scores.shape[axis]):
                positives = [self.scores[pair] for pair in self.positives if pair[axis] == anchor]
                negatives = [self.scores[pair] for pair in self.negatives if pair[axis] == anchor]
                if positives and negatives:
                    anchors.append((positives, negatives))
            yield anchors


def average(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def both_directions(pairs, of_positive):
    """Mean over directions of the mean over anchors of the mean over positives."""
    return average(
        average(average(of_positive(p, negatives) for p in positives) for positives, negatives in anchors)
        for anchors in pairs.anchors()
    )


def margin_contrastive(pairs, margin=1.0):
    together = average(pairs.distances[pair] for pair in pairs.positives)
    apart = average(max(0.0, margin - pairs.distances[pair]) for pair in pairs.negatives)
    return together + apart


def triplet_hardest(pairs, margin=0.2):
    return both_directions(pairs, lambda p, negatives: max(max(0.0, margin + n - p) for n in negatives))


def triplet_all(pairs, margin=0.2):
    return both_directions(pairs, lambda p, negatives: sum(max(0.0, margin + n - p) for n in negatives))


def info_nce(pairs, temperature=0.07, label_smoothing=0.0):
    def of_positive(p, negatives):
        logits = np.array([p, *negatives]) / temperature
        logs = logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
        target = np.full(len(logits), label_smoothing / len(logits))
        target[0] += 1.0 - label_smoothing
        return -(target * logs).sum()

    return both_directions(pairs, of_positive)


def sigmoid_contrastive(pairs, temperature=0.1, bias=-10.0):
    def term(pair, sign):
        return math.log1p(math.exp(-sign * (pairs.scores[pair] / temperature + bias)))

    total = sum(term(pair, 1) for pair in pairs.positives) + sum(term(pair, -1) for pair in pairs.negatives)
    used = pairs.positives + pairs.negatives
    return average(total / max(len({pair[axis] for pair in used}), 1) for axis in (0, 1))


def slopes(function, arrays, step=1e-5):
    """Gradient of `function(*arrays)` by central differences."""
    arrays = [np.array(x, "float64") for x in arrays]
    gradients = [np.zeros(x.shape) for x in arrays]
    for x, gradient in zip(arrays, gradients, strict=True):
        for place in np.ndindex(x.shape):
            kept = x[place]
            x[place] = kept + step
            above = function(*arrays)
            x[place] = kept - step
            gradient[place] = (above - function(*arrays)) / (2 * step)
            x[place] = kept
    return gradients
