"""Concepts: directions of a layer's activations that stand for something a person can name, and what the network does with them.

activations   means over positions of several layers, for any amount of data
directions    concept activation vectors, and the derivative of a score along them
maps          where in an input a concept's vector lies
erasure       a direction taken out of a layer, or set to a value, and the score after it
dissection    single units of a layer beside labels and masks
probes        classifiers of a layer's activations, asked about inputs that they were not fitted to
"""

from lab.concepts.activations import default_layers, pooled, read_activations
from lab.concepts.directions import cav, directional_derivatives, held_out_accuracy
from lab.concepts.dissection import unit_auc, unit_iou
from lab.concepts.erasure import Erasure, all_scores_after, leace, random_erasures, scores_after
from lab.concepts.maps import concept_gradient, concept_map
from lab.concepts.probes import calibration, cross_validate, linear_probe, online_code, predict, read_positions

__all__ = [
    "Erasure",
    "all_scores_after",
    "calibration",
    "cav",
    "concept_gradient",
    "concept_map",
    "cross_validate",
    "default_layers",
    "directional_derivatives",
    "held_out_accuracy",
    "leace",
    "linear_probe",
    "online_code",
    "pooled",
    "predict",
    "random_erasures",
    "read_activations",
    "read_positions",
    "scores_after",
    "unit_auc",
    "unit_iou",
]
