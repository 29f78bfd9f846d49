"""Concepts: directions of a layer's activations that stand for something a person can name, and what the network does with them.

activations   means over positions of several layers, for any amount of data
directions    concept activation vectors, and the derivative of a score along them
erasure       a direction taken out of a layer, or set to a value, and the score after it
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
from lab.concepts.directions import cav, directional_derivatives, held_out_accuracy
from lab.concepts.erasure import Erasure, leace, random_erasures, scores_after
from lab.concepts.positions import layer_batches, read_positions
from lab.concepts.quality import match, neighbours, reconstruction, score_recovered, stability
from lab.concepts.sparse_autoencoder import sparse_autoencoder

__all__ = [
    "Dictionary",
    "Erasure",
    "Removals",
    "atom_examples",
    "cav",
    "craft",
    "decompose",
    "default_layers",
    "directional_derivatives",
    "held_out_accuracy",
    "kmeans",
    "layer_batches",
    "leace",
    "learn",
    "learners",
    "logits_after_removal",
    "masked_scores",
    "match",
    "neighbours",
    "nmf",
    "pca",
    "pooled",
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
]
