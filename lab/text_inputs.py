"""Text inputs: which inputs of a network are token ids, their mask and their segments."""

from dataclasses import dataclass

from lab.environment import tf

# The names that KerasHub, Hugging Face and TensorFlow's model garden give them.
NAMES = {
    "ids": ("token_ids", "input_ids", "input_word_ids", "ids", "tokens"),
    "mask": ("padding_mask", "attention_mask", "input_mask"),
    "segments": ("segment_ids", "token_type_ids", "input_type_ids"),
}


@dataclass(frozen=True)
class TextInputs:
    """The places of the inputs of a text network, in flattened order.

    Args:
        ids: int, of the token ids.
        mask: int, of what is 1 for tokens and 0 for padding; None: there is no such input.
        segments: int, of the segments; None: there is no such input.
    """

    ids: int
    mask: int | None = None
    segments: int | None = None

    @property
    def beside(self):
        """The places of the inputs beside the ids, which say what the ids are and are never changed: list of int."""
        return [place for place in (self.mask, self.segments) if place is not None]

    def masks(self, leaves, masks):
        """Masks of inputs, with the padding of the ids and the whole of what stands beside them.

        Args:
            leaves: list of tensors, the inputs.
            masks: list of bool tensors or None, as of `Network.masks`.

        Returns:
            list of bool tensors or None.
        """
        masks = [
            tf.ones_like(leaf, tf.bool) if place in self.beside else masks[place] for place, leaf in enumerate(leaves)
        ]
        if self.mask is not None:
            masks[self.ids] = tf.equal(tf.cast(leaves[self.mask], tf.int32), 0)
        return masks

    def arrange(self, spec, encoded):
        """Encoded texts in the structure that a network takes.

        Args:
            spec: TensorSpecs of the inputs.
            encoded: `lab.tokenizer.Encoded`.

        Returns:
            int arrays [texts, tokens] in the structure of the spec.
        """
        leaves = dict(zip((self.ids, self.mask, self.segments), (encoded.ids, encoded.mask, encoded.segments)))
        flat = [leaves[place] for place in range(len(tf.nest.flatten(spec)))]
        return tf.nest.pack_sequence_as(spec, flat)


def find_text_inputs(places):
    """The text inputs of a network.

    Args:
        places: list of (name, TensorSpec), every input.

    Returns:
        `TextInputs`, or None for a network that takes something else, or something beside them.
    """
    if not all(len(spec.shape) == 2 and not spec.dtype.is_floating and spec.dtype != tf.string for _, spec in places):
        return None
    if len(places) == 1:
        return TextInputs(0)
    names = [name.rpartition("/")[-1] for name, _ in places]
    parts = {
        part: next((place for place, name in enumerate(names) if name in known), None) for part, known in NAMES.items()
    }
    is_whole = parts["ids"] is not None and len(places) == sum(place is not None for place in parts.values())
    return TextInputs(**parts) if is_whole else None
