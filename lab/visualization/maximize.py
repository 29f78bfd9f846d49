"""Maximize: the pictures that a network's units answer to most, many units at once, the whole climb in one graph."""

from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.environment import fused, tf
from lab.scoring import score
from lab.visualization import transforms as views
from lab.visualization.parameterizations import parameterizations

# Adam's usual constants; the rate falls along a cosine to a twentieth.
RATE, FLOOR = 0.05, 0.05
BETA1, BETA2, TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Pictures:
    """What maximize made: images float32 [units, rows, columns, channels] in 0..1; inputs, the same as the network takes them;
    curves float32 [units, steps], the objective on the transformed picture at each step; scores float32 [units], the
    objective on the plain picture; objective, in words.
    """

    images: np.ndarray
    inputs: np.ndarray
    curves: np.ndarray
    scores: np.ndarray
    objective: str
    settings: dict = field(default_factory=dict)

    def _repr_html_(self):
        from lab.thumbnails import strip

        return strip(self.images, [f"{value:.3g}" for value in self.scores], title=self.objective)


def maximize(
    network,
    objective,
    *,
    steps=256,
    size=None,
    seed,
    parameterization="fourier",
    transforms=None,
    rate=RATE,
    linear=True,
):
    """Climb an objective by changing a picture (Erhan, Bengio, Courville, Vincent 2009; Olah et al. 2017, https://distill.pub/2017/feature-visualization) -> `Pictures`.

    objective: its index list has one entry per picture. size: rows and columns of the picture in pixels (an int or a pair;
    None: the network's). parameterization: a name or an object of `lab.visualization.parameterizations`. transforms: a
    sequence of `lab.visualization.transforms`; None: the standard ones; () for none. rate: Adam's first learning rate.
    linear: climb what goes into the layer's activation function, where a dead unit still has a gradient; scores are always
    those of the objective itself. Raises ValueError for a network that does not take images.
    """
    shape = picture_shape(network, size)
    chosen = views.standard(*network.size) if transforms is None else tuple(transforms)
    kind = parameterizations.get(parameterization)() if isinstance(parameterization, str) else parameterization
    network.check(objective)
    climbed = objective.linear if linear else objective
    images, curves = _climb(network, climbed, kind, chosen, shape, _count(steps), float(rate), seed)
    inputs = _fed(network, images)
    settings = {
        "steps": steps,
        "size": list(shape[:2]),
        "seed": seed,
        "parameterization": repr(kind),
        "transforms": [repr(each) for each in chosen],
        "rate": rate,
        "linear": linear,
    }
    return Pictures(images, inputs, curves, routines.scores(network, inputs, objective), str(objective), settings)


def _climb(network, objective, kind, chosen, shape, steps, rate, seed):
    """-> images [units, ...] in 0..1 and curves [units, steps]."""

    def body(batched, shared):
        (numbers, index), (weights, seed, steps, rate) = batched, shared
        units, seed = tf.shape(index)[0], tf.ensure_shape(seed, [2])
        start = kind.start(units, *shape, tf.random.experimental.stateless_fold_in(seed, -1))

        def ascend(step, parameters, mean, square, curve):
            picture = kind.picture(parameters, *shape)
            scores = _seen(
                network,
                objective,
                weights,
                numbers,
                picture,
                chosen,
                tf.random.experimental.stateless_fold_in(seed, step),
            )
            slope = tf.gradients(scores, parameters)[0]
            parameters, mean, square = _adam(step, parameters, slope, mean, square, _cosine(rate, step, steps))
            return step + 1, parameters, mean, square, curve.write(step, scores)

        curve = tf.TensorArray(tf.float32, size=steps, element_shape=[None])
        state = (tf.constant(0), start, tf.zeros_like(start), tf.zeros_like(start), curve)
        _, parameters, _, _, curve = tf.while_loop(lambda step, *_: step < steps, ascend, state, parallel_iterations=1)
        return kind.picture(parameters, *shape), tf.transpose(curve.stack())

    batched = (objective.numbers(objective.length), np.arange(objective.length, dtype="int32"))
    shared = (
        objective.weights,
        np.array([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], "int32"),
        np.int32(steps),
        np.float32(rate),
    )
    return routines.run(network, ("maximize", objective.structure, kind, chosen, shape), body, batched, shared)


def _seen(network, objective, weights, numbers, picture, chosen, seed):
    """The objective on the picture as the transforms show it to the network: float32 [units]."""
    for position, transform in enumerate(chosen):
        picture = transform(picture, tf.random.experimental.stateless_fold_in(seed, position))
    if tuple(picture.shape[1:3]) != network.size:
        picture = tf.image.resize(picture, network.size, antialias=True)
    return tf.cast(
        score(
            objective.structure,
            weights,
            numbers,
            network.trace(network.preprocessing.apply(255.0 * picture), objective.paths),
        ),
        tf.float32,
    )


@fused
def _adam(step, parameters, slope, mean, square, rate):
    count = tf.cast(step + 1, tf.float32)
    mean = BETA1 * mean + (1 - BETA1) * slope
    square = BETA2 * square + (1 - BETA2) * tf.square(slope)
    unbiased = rate * tf.sqrt(1 - BETA2**count) / (1 - BETA1**count)
    return parameters + unbiased * mean / (tf.sqrt(square) + TINY), mean, square


def _cosine(rate, step, steps):
    way = tf.cast(step, tf.float32) / tf.cast(steps, tf.float32)
    return rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + tf.cos(np.pi * way)))


def picture_shape(network, size):
    """Rows, columns and channels of a picture of that size (None: the network's). Raises ValueError where there can be none."""
    if network.size is None or network.preprocessing is None:
        raise ValueError(
            f"maximize needs a network that takes images and a known input range. Received: {network.name}; give preprocess= or input_range= to lab.load."
        )
    rows, columns = network.size if size is None else (size, size) if isinstance(size, int) else size
    if min(rows, columns) < 8:
        raise ValueError(f"A picture has at least 8 pixels a side. Received: size {size}.")
    return int(rows), int(columns), network.preprocessing.channels


def _count(steps):
    if int(steps) != steps or steps < 1:
        raise ValueError(f"steps is a whole number of 1 or more. Received: {steps!r}.")
    return int(steps)


def _fed(network, images):
    if tuple(images.shape[1:3]) != network.size:
        images = tf.image.resize(images, network.size, antialias=True).numpy()
    return network.preprocessing.apply(255.0 * images).astype("float32")
