"""Stateless tensor maths on `keras.ops`: the formulas that layers, losses and tasks share."""

from mmkeras.ops.attention import attention_mask, attention_scores, dot_product_attention, masked_softmax
from mmkeras.ops.batch_statistics import normalize_batch
from mmkeras.ops.graph import edge_mask, normalize_adjacency
from mmkeras.ops.group_statistics import normalize_groups
from mmkeras.ops.masking import (
    broadcast_flag,
    last_valid,
    masked_max,
    masked_mean,
    stride_mask,
    trailing_mask,
    usable,
    zero_padding,
)
from mmkeras.ops.replicas import gather_rows, num_replicas, replica_index
from mmkeras.ops.sequence import join_masks, pack, shift, sine_waves, token_mask
from mmkeras.ops.similarity import cosine_similarity, directions, dot_similarity, squared_distance, unit

__all__ = [
    "attention_mask",
    "attention_scores",
    "broadcast_flag",
    "cosine_similarity",
    "directions",
    "dot_product_attention",
    "dot_similarity",
    "edge_mask",
    "gather_rows",
    "join_masks",
    "last_valid",
    "masked_max",
    "masked_mean",
    "masked_softmax",
    "normalize_adjacency",
    "normalize_batch",
    "normalize_groups",
    "num_replicas",
    "pack",
    "replica_index",
    "shift",
    "sine_waves",
    "squared_distance",
    "stride_mask",
    "token_mask",
    "trailing_mask",
    "unit",
    "usable",
    "zero_padding",
]
