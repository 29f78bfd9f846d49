"""Class token: the layer of vision transformers that puts a learned token before the patches, and adds their positions."""

from lab.environment import keras


@keras.saving.register_keras_serializable("lab")
class ClassToken(keras.layers.Layer):
    """Puts a learned class token before the tokens, and adds a learned vector for each position."""

    def build(self, shape):
        """Create the vectors.

        Args:
            shape: (batch, tokens, size).
        """
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")
        self.places = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), initializer="random_normal", name="places")

    def call(self, tokens):
        """The tokens with their class token.

        Args:
            tokens: [batch, tokens, size].

        Returns:
            [batch, 1 + tokens, size].
        """
        first = keras.ops.repeat(self.token, keras.ops.shape(tokens)[0], axis=0)
        return keras.ops.concatenate([first, tokens], axis=1) + self.places
