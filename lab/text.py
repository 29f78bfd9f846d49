"""Text: the refusal of networks that take strings, with what to do instead."""

from lab.environment import keras, tf
from lab.refusal import Refused

_LOOKUPS = tuple(
    getattr(keras.layers, name) for name in ("TextVectorization", "StringLookup", "Hashing", "HashedCrossing")
)


def refuse_text(network):
    """Raise Refused where an input of a network is text, which has no gradient and to which nothing can be added."""
    texts = [name for name, spec in network.places() if spec.dtype == tf.string]
    if not texts:
        return
    lookups = [path for path, layer in network.tree.items() if isinstance(layer, _LOOKUPS)]
    behind = f"behind {lookups[0]!r}" if lookups else "behind the layer that turns strings into numbers"
    raise Refused(
        f"Inputs are numbers. Received: {network.name}, which takes strings ({', '.join(texts)}). Cut the model {behind}: load "
        "a keras.Model that begins with what this layer gives (ids), and give it the ids of your texts."
    )
