"""Composites: which layer shares relevance by which rule (Montavon, Binder, Lapuschkin, Samek, Mueller 2019; names as in zennit)."""

import fnmatch
from dataclasses import dataclass

from lab.refusal import Refused
from lab.registry import nearest
from lab.relevance_rules import FIRST_RULES, KERNEL_RULES, Rule


@dataclass(frozen=True)
class Composite:
    """Rules by kind of layer.

    Args:
        convolution: `Rule` of convolutions.
        dense: `Rule` of products with a matrix of weights.
        first: str, the rule of the first layers with weights, one of FIRST_RULES; None: as of the others.
        paths: tuple of (pattern, `Rule`), of layers by their paths, such as ("blocks/*/dense", Rule("gamma", 0.25)). The first
            that fits decides.

    Raises:
        Refused: for a rule that does not exist.
    """

    convolution: Rule = Rule()
    dense: Rule = Rule()
    first: str | None = None
    paths: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "paths", tuple(tuple(pair) for pair in self.paths))
        for rule in (self.convolution, self.dense, *(rule for _, rule in self.paths)):
            if rule.name not in KERNEL_RULES:
                raise Refused(
                    f"A rule of relevance is one of {', '.join(KERNEL_RULES)}. Received: {rule.name!r}. {nearest(rule.name, KERNEL_RULES)}"
                )
        if self.first is not None and self.first not in FIRST_RULES:
            raise Refused(
                f"The rule of first layers is one of {', '.join(FIRST_RULES)}. Received: {self.first!r}. {nearest(self.first, FIRST_RULES)}"
            )

    def rule_of(self, path, is_dense):
        """The rule of a layer with weights.

        Args:
            path: str, of the layer.
            is_dense: bool, whether it is a product with a matrix, and no convolution.

        Returns:
            `Rule`.
        """
        return self.named_rule(path) or (self.dense if is_dense else self.convolution)

    def named_rule(self, path):
        """The rule that `paths` names for a layer: `Rule` or None.

        Args:
            path: str, of the layer.
        """
        return next((rule for pattern, rule in self.paths if fnmatch.fnmatchcase(path, pattern)), None)


_PLUS = Rule("alpha_beta", 1.0)
COMPOSITES = {
    "epsilon": Composite(),
    "z_plus": Composite(_PLUS, _PLUS),
    "epsilon_plus": Composite(_PLUS),
    "epsilon_plus_flat": Composite(_PLUS, first="flat"),
    "epsilon_alpha2_beta1": Composite(Rule("alpha_beta", 2.0)),
    "epsilon_alpha2_beta1_flat": Composite(Rule("alpha_beta", 2.0), first="flat"),
    "epsilon_gamma_box": Composite(Rule("gamma", 0.25), first="z_box"),
    "gamma": Composite(Rule("gamma", 0.25), Rule("gamma", 0.25)),
    "w_square": Composite(first="w_square"),
}


def composite_of(composite):
    """A composite by its name, or itself.

    Args:
        composite: str, or `Composite`.

    Returns:
        `Composite`.

    Raises:
        Refused: for an unknown name, and for what is no composite.
    """
    if isinstance(composite, Composite):
        return composite
    if not isinstance(composite, str) or composite not in COMPOSITES:
        raise Refused(
            f"A composite is one of {', '.join(COMPOSITES)}, or a `Composite`. Received: {composite!r}. {nearest(composite, COMPOSITES)}"
        )
    return COMPOSITES[composite]
