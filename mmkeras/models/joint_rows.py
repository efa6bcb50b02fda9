"""Rows of a joint space: what is compared with what, and how often the partner is found."""

import itertools
from typing import NamedTuple

from keras import ops

from mmkeras.metrics import RecallAtK


class Rows(NamedTuple):
    """What stands in the joint space for one modality of a batch: a row each, its group, whether it counts."""

    embeddings: object
    groups: object
    valid: object


def check_pairs(pairs, encoders):
    """Return pairs of modalities as a tuple, all of them for None, or raise an error that says what fits."""
    if len(encoders) < 2:
        raise ValueError(f"A joint space needs the encoders of at least two modalities. Received: {list(encoders)}")
    if pairs is None:
        return tuple(itertools.combinations(encoders, 2))
    pairs = tuple(tuple(pair) for pair in pairs)
    if not pairs or any(len(set(pair)) != 2 or set(pair) - set(encoders) for pair in pairs):
        raise ValueError(f"`pairs` must name two modalities each, among {list(encoders)}. Received: pairs={pairs}")
    left_out = set(encoders) - {name for pair in pairs for name in pair}
    if left_out:
        raise ValueError(f"Each modality must be in one of the `pairs`. Received: none with {sorted(left_out)}")
    return pairs


class Recalls:
    """One metric for each direction of each pair, out of sight of Keras, which would keep those of old compilations."""

    def __init__(self, pairs, templates, similarity):
        self.templates = list(templates)
        self.by_name = {}
        self._directions = []
        for template in self.templates:
            for pair in pairs:
                for query, item in (pair, pair[::-1]):
                    config = {**template.get_config(), "name": f"{template.name}_{query}_to_{item}"}
                    metric = RecallAtK.from_config({**config, "similarity": similarity})
                    self.by_name[metric.name] = metric
                    self._directions.append((metric, query, item))

    def update(self, rows):
        """Take in the rows of a batch, one per sample and modality."""
        for metric, query, item in self._directions:
            flags = [rows[name].valid for name in (query, item) if rows[name].valid is not None]
            valid = None if not flags else flags[0] if len(flags) == 1 else ops.logical_and(*flags)
            metric.update_state(rows[query].embeddings, rows[item].embeddings, rows[query].groups, valid)
