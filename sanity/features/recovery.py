"""Recovery: does a visualizer find templates that were put into a network by hand, and both of a unit that answers to two?"""

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.feature import match_template

from lab import routines
from lab.environment import keras
from lab.network import Network
from lab.objectives import logit
from lab.preprocessing import linear_preprocessing
from sanity.evidence import Evidence
from sanity.features.flags import FLAGGED, NOT_FLAGGED
from sanity.statistics import Interval

SIDE, TEMPLATE, COUNT = 32, 12, 4
# Phases alone cannot make every template. Below this correlation a template counts as not recovered.
FOUND = 0.6


def build_templates(seed=0):
    """A network of `COUNT` units that each respond to one template anywhere, and one that responds to two.

    Returns:
        `Network`, and templates float32 [COUNT, rows, columns, 3] of zero mean and unit norm.
    """
    drawn = np.random.default_rng(seed).normal(size=(COUNT, TEMPLATE, TEMPLATE, 3))
    smooth = gaussian_filter(drawn, (0, 1.5, 1.5, 0))
    smooth -= smooth.mean(axis=(1, 2, 3), keepdims=True)
    templates = smooth / np.sqrt((smooth**2).sum(axis=(1, 2, 3), keepdims=True))
    inputs = keras.Input((SIDE, SIDE, 3))
    match = keras.layers.Conv2D(COUNT, TEMPLATE, use_bias=False, name="match")
    best = keras.layers.GlobalMaxPooling2D(name="best")(match(inputs))
    pair = keras.layers.Lambda(lambda scores: keras.ops.max(scores[:, :2], axis=1, keepdims=True), name="either")(best)
    model = keras.Model(inputs, keras.layers.Concatenate(name="units")([best, pair]), name="templates")
    match.set_weights([templates.transpose(1, 2, 3, 0).astype("float32")])
    return Network(model, preprocessing=linear_preprocessing(-1, 1)), templates.astype("float32")


def recovery(draw, *, seed, name="maximize", pictures=4, settings=None):
    """Draw every unit of a network whose templates are set by hand.

    Args:
        draw: the visualizer, as of `Study`.
        seed: int.
        name: str, the visualizer's name.
        pictures: int, pictures a unit.
        settings: dict, of the visualizer.

    Returns:
        `Evidence` with these samples.
        likeness: [units], highest normalized correlation with the unit's template over all shifts and pictures.
        attained: [units], score over the analytic maximum in the box of colours.
        modes: [2], likeness of the OR unit's pictures with each of its templates.
    """
    network, templates = build_templates(seed)
    drawn = np.stack(
        [draw(network, logit(list(range(COUNT + 1))), seed=seed + number) for number in range(pictures)], axis=1
    )
    likeness = np.array([_likeness(drawn[unit], templates[unit]) for unit in range(COUNT)])
    modes = np.array([_likeness(drawn[COUNT], templates[mode]) for mode in (0, 1)])
    inputs = network.preprocess(list(np.round(255 * drawn[:COUNT].reshape(-1, SIDE, SIDE, 3))))
    scores = routines.scores(network, inputs, logit(np.repeat(range(COUNT), pictures)))
    highest = np.abs(templates).sum(axis=(1, 2, 3))
    attained = scores.reshape(COUNT, pictures).max(axis=1) / highest
    samples = {"likeness": likeness, "attained": attained, "modes": modes}
    sizes = {"units": COUNT, "pictures": pictures}
    return Evidence("recovery", name, "templates set by hand", sizes, samples, (), settings=settings or {})


def judge_recovery(evidence):
    """Word, interval of the likeness, and words for evidence of `recovery`."""
    likeness, attained, modes = (evidence.samples[name] for name in ("likeness", "attained", "modes"))
    value = Interval(float(likeness.mean()), float(likeness.min()), float(likeness.max()))
    modes_found = int((modes > FOUND).sum())
    why = f"correlation with the templates {value}; {attained.mean():.2f} of the highest possible score; {modes_found} of 2 modes of an OR unit found in {evidence.sizes['pictures']} pictures"
    return (NOT_FLAGGED if likeness.mean() >= FOUND else FLAGGED), value, why


def _likeness(images, template):
    return max(float(match_template(image, template).max()) for image in images)
