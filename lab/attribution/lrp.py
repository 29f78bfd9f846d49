"""Layer-wise relevance propagation: what a score is made of, shared backward by a rule for each layer."""

import numpy as np

from lab.attribution import explainers
from lab.attribution.options import as_float32
from lab.composites import Composite, composite_of
from lab.embeddings import at_embeddings
from lab.refusal import Refused
from lab.relevance import conservation, relevance
from lab.relevance_rules import Rule


def bounds_of(composite, low, high):
    """The least and the largest input of z_box.

    Args:
        composite: as of `lrp`.
        low: as of `lrp`.
        high: as of `lrp`.

    Returns:
        (low, high), or None where they are not given.

    Raises:
        Refused: for one of them alone, for those of another composite, and for a low that is not below high.
    """
    if (low is None) != (high is None):
        raise Refused("z_box needs both low= and high=. Received: one of them. Give both, or none for pictures.")
    if low is not None and composite_of(composite).first != "z_box":
        raise Refused(
            f"low= and high= are for the rule z_box. Received: the composite {composite!r}, which has none. Leave them out, or give epsilon_gamma_box."
        )
    if low is not None and not np.all(np.less(low, high)):
        raise Refused(f"low= is less than high=. Received: {low!r} and {high!r}. Give the least and the largest input.")
    return None if low is None else (low, high)


def _conserved(network, inputs, objective, options):
    bounds = bounds_of(options["composite"], options["low"], options["high"])
    return conservation(network, inputs, objective, options["composite"], bounds=bounds)


@explainers.register(conserved=_conserved)
@at_embeddings
def lrp(network, inputs, objective, *, composite="epsilon_plus", low=None, high=None):
    """Layer-wise relevance propagation (Bach, Binder, Montavon, Klauschen, Mueller, Samek 2015, https://doi.org/10.1371/journal.pone.0130140).

    BatchNormalization is folded into the layer before it. Attention and gates follow Achtibat et al. 2024
    (https://arxiv.org/abs/2402.05602) and Arras et al. 2017 (https://arxiv.org/abs/1706.07206).

    Args:
        composite: which layer has which rule, a name of `lab.composites.COMPOSITES` or a `Composite`.
        low: the least input, for the rule z_box; None: that of black pictures.
        high: the largest input, for the rule z_box; None: that of white pictures.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. Without biases the maps of most composites
        sum to the score.

    Raises:
        Refused: for an operation without a rule, named with its layer.
    """
    return as_float32(relevance(network, inputs, objective, composite, bounds=bounds_of(composite, low, high)))


EXCITATION = Composite(Rule("alpha_beta", 1.0, bias=False), Rule("alpha_beta", 1.0, bias=False))


def _probability(network, inputs, objective, options):
    return conservation(network, inputs, objective, EXCITATION, start="one")


@explainers.register(conserved=_probability)
@at_embeddings
def excitation_backprop(network, inputs, objective):
    """Excitation backprop: the probability that a winner is drawn from each input (Zhang, Lin, Brandt, Shen, Sclaroff 2016, https://arxiv.org/abs/1608.00507).

    It is relevance by positive contributions alone, without biases, that begins with 1.

    Args:
        inputs: what the model takes.

    Returns:
        float32 in the structure and shape of the inputs; maps sum to 1 where all activations are positive.

    Raises:
        Refused: for an operation without a rule, named with its layer.
    """
    return as_float32(relevance(network, inputs, objective, EXCITATION, start="one"))
