"""Attention: the weights of every head, what changes when they are changed, and how much a score depends on each head."""

from lab.attention.heads import distance_from_uniform, entropy, head_importance, knock_out, mean_distance, read
from lab.attention.interventions import (
    all_heads,
    knocked_out,
    outputs_under,
    permuted,
    scores_under,
    select,
    uniform,
)
from lab.attention.rows import key_weights

__all__ = [
    "all_heads",
    "distance_from_uniform",
    "entropy",
    "head_importance",
    "key_weights",
    "knock_out",
    "knocked_out",
    "mean_distance",
    "outputs_under",
    "permuted",
    "read",
    "scores_under",
    "select",
    "uniform",
]
