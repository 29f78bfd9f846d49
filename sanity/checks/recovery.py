"""Recovery: does a visualizer find templates that were put into a network by hand, and both of a unit that answers to two?"""

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.feature import match_template

from lab import routines
from lab.environment import keras
from lab.network import Network
from lab.objectives import logit
from lab.preprocessing import linear_preprocessing
from sanity.checks import checks
from sanity.evidence import Evidence
from sanity.pictures.rulings import range_of, rule
from sanity.pictures.units import CANNOT
from sanity.ruling import About, rules

SIDE, TEMPLATE, COUNT = 32, 12, 4
FINDINGS = ("RECOVERED", "NOT RECOVERED")


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


@checks.register(claim="pictures", needs_pictures=False)
def recovery(study, *, seed, pictures=4):
    """Does the visualizer find templates that were put into a network by hand?

    Args:
        study: a `Study`, of which the visualizer alone is asked.
        seed: int.
        pictures: int, pictures a unit.

    Returns:
        list of one `Evidence` with these samples.
        likeness: [units], highest normalized correlation with the unit's template over all shifts and pictures.
        attained: [units], score over the analytic maximum in the box of colours.
        modes: [2], likeness of the OR unit's pictures with each of its templates.
    """
    network, templates = build_templates(seed)
    objective = logit(list(range(COUNT + 1)))
    drawn = np.stack([study.draw(network, objective, seed=seed + number) for number in range(pictures)], axis=1)
    likeness = np.array([_likeness(drawn[unit], templates[unit]) for unit in range(COUNT)])
    modes = np.array([_likeness(drawn[COUNT], templates[mode]) for mode in (0, 1)])
    inputs = network.preprocess(list(np.round(255 * drawn[:COUNT].reshape(-1, SIDE, SIDE, 3))))
    scores = routines.scores(network, inputs, logit(np.repeat(range(COUNT), pictures)))
    highest = np.abs(templates).sum(axis=(1, 2, 3))
    attained = scores.reshape(COUNT, pictures).max(axis=1) / highest
    samples = {"likeness": likeness, "attained": attained, "modes": modes}
    sizes = {"units": COUNT, "pictures": pictures}
    return [Evidence("recovery", study.name, "templates set by hand", sizes, samples, (), settings=study.settings)]


def _likeness(images, template):
    return max(float(match_template(image, template).max()) for image in images)


@rules.register(
    name="recovery",
    about=About(
        "Recovers templates",
        "correlation with the templates",
        {
            "RECOVERED": "templates that were set by hand are recovered, and pictures may still mislead; {why}",
            "NOT RECOVERED": "templates that were set by hand are not recovered; {why}",
        },
        similarity="highest normalized correlation of a picture with the template of its unit",
        sampled=False,
        cannot=CANNOT,
        better="higher",
        counted={"units": "templates", "pictures": "pictures of each"},
    ),
)
def judge_recovery(family, margins, seed):
    """By the mean correlation with the templates. Phases alone cannot make every template.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return [_judge_likeness(evidence, margins.recovered) for evidence in family]


def _judge_likeness(evidence, recovered):
    likeness, attained, modes = (evidence.samples[name] for name in ("likeness", "attained", "modes"))
    outcome = "PASS" if likeness.mean() >= recovered else "FAIL"
    why = f"{int((modes > recovered).sum())} of 2 templates of one unit are found"
    also = (("share of the highest possible score", f"{attained.mean():.2f}"),)
    return rule(outcome, FINDINGS, range_of(likeness), why=why, also=also)
