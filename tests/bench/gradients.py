"""Gradients: the bare compiled gradient and forward pass that benchmarks are shares of."""

from lab.environment import tf

BATCH = 16
BARE, FORWARD = "bare gradient", "bare forward pass"


def bare(network, images=None):
    """The bare compiled gradient of a batch: callable.

    Args:
        network: a `Network`.
        images: float32 [batch, rows, columns, 3]; None: 16 random ones of the network's size.

    Returns:
        callable.
    """

    @tf.function(jit_compile=network.jit or None)
    def gradient(inputs, index):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            scores = tf.gather(network.model(inputs, training=False), index, axis=1)
        return tape.gradient(scores, inputs)

    inputs = _random(network) if images is None else tf.constant(images)
    return lambda: gradient(inputs, tf.constant(3)).numpy()


def bare_forward(network, images=None):
    """The bare compiled forward pass of a batch, as of `bare`: callable."""
    forward = compiled_forward(network)
    inputs = _random(network) if images is None else tf.constant(images)
    return lambda: forward(inputs)


def compiled_forward(network):
    """The bare compiled forward pass of any batch: callable from inputs to float32 [batch, outputs]."""
    forward = tf.function(lambda inputs: network.model(inputs, training=False), jit_compile=network.jit or None)
    return lambda inputs: forward(tf.constant(inputs)).numpy()


def _random(network):
    return tf.random.stateless_uniform([BATCH, *network.size, 3], [0, 1], -1, 1)
