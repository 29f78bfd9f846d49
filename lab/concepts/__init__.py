"""Concepts: directions of a layer's activations that stand for something a person can name, and what the network does with them.

activations   means over positions of several layers, for any amount of data
directions    concept activation vectors, and the derivative of a score along them
maps          where in an input a concept's vector lies
erasure       a direction taken out of a layer, or set to a value, and the score after it
dissection    single units of a layer beside labels and masks
probes        classifiers of a layer's activations, asked about inputs that they were not fitted to
positions     a layer's activations at all positions, in a bounded memory
dictionaries  activations as sums of atoms: pca, kmeans, nmf, craft, sparse_autoencoder
craft         crops of the images of a class, and how much a score depends on each atom
ablation      an atom taken out of a layer, and the score after it
atom_examples the inputs in which each atom is most active
quality       how well a dictionary rebuilds, how sparse it is, and whether other seeds find its atoms
"""

from lab.concepts.ablation import Removals, logits_after_removal, random_directions, scores_after_removal
from lab.concepts.activations import default_layers, pooled, read_activations
from lab.concepts.atom_examples import atom_examples
from lab.concepts.craft import craft, decompose, masked_scores, read_crops, sobol_importance
from lab.concepts.dictionaries import Dictionary, kmeans, learn, learners, nmf, pca
from lab.concepts.directions import cav, directional_derivatives, held_out_accuracy, held_out_scores
from lab.concepts.dissection import unit_auc, unit_iou
from lab.concepts.erasure import Erasure, all_scores_after, erase_targets, leace, random_erasures, scores_after
from lab.concepts.maps import concept_gradient, concept_map
from lab.concepts.positions import draw_positions, layer_batches, read_positions
from lab.concepts.probes import calibration, cross_validate, linear_probe, online_code, predict
from lab.concepts.quality import match, neighbours, reconstruction, score_recovered, stability
from lab.concepts.sparse_autoencoder import sparse_autoencoder

__all__ = [
    "Dictionary",
    "Erasure",
    "Removals",
    "all_scores_after",
    "atom_examples",
    "calibration",
    "cav",
    "concept_gradient",
    "concept_map",
    "craft",
    "cross_validate",
    "decompose",
    "default_layers",
    "directional_derivatives",
    "draw_positions",
    "erase_targets",
    "held_out_accuracy",
    "held_out_scores",
    "kmeans",
    "layer_batches",
    "leace",
    "learn",
    "learners",
    "linear_probe",
    "logits_after_removal",
    "masked_scores",
    "match",
    "neighbours",
    "nmf",
    "online_code",
    "pca",
    "pooled",
    "predict",
    "random_directions",
    "random_erasures",
    "read_activations",
    "read_crops",
    "read_positions",
    "reconstruction",
    "score_recovered",
    "scores_after",
    "scores_after_removal",
    "sobol_importance",
    "sparse_autoencoder",
    "stability",
    "unit_auc",
    "unit_iou",
]
