"""Gradients: the bare compiled gradient that benchmarks are shares of."""

from lab.environment import tf

BATCH = 16


def bare(network):
    """The bare compiled gradient of a batch of 16: callable."""

    @tf.function(jit_compile=network.jit or None)
    def gradient(inputs, index):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            scores = tf.gather(network.model(inputs, training=False), index, axis=1)
        return tape.gradient(scores, inputs)

    inputs = tf.random.stateless_uniform([BATCH, 224, 224, 3], [0, 1], -1, 1)
    return lambda: gradient(inputs, tf.constant(3)).numpy()
