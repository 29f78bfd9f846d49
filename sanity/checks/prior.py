"""Prior: would an untrained network have given much the same picture?"""

import numpy as np

from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.pictures.embedding import describe_images, whiten
from sanity.pictures.rulings import judge_above_zero
from sanity.pictures.study import pictures
from sanity.pictures.units import CANNOT, COUNTED, by_unit, judge_rows
from sanity.randomization import draw, layers_in_order, reestimate_batchnorm
from sanity.ruling import About, rules
from sanity.seeds import derive_seed

FINDINGS = ("BEYOND THE PRIOR", "WITHIN THE PRIOR")


@checks.register(claim="pictures")
def prior(study, *, seed, networks=3, observer=None):
    """How much further the pictures of random networks are from a unit's picture than its own other seeds are.

    Near zero the picture is due to the parameterization, whatever was learned (Adebayo et al. 2018,
    https://arxiv.org/abs/1810.03292, applied to pictures).

    Args:
        study: a `Study`.
        seed: int, of the random networks.
        networks: int, random networks, their BatchNormalization statistics estimated on natural images.
        observer: a `Network` that did not make the pictures, or None: texture and colour.

    Returns:
        list of `Evidence`, of each unit and of all, with samples excess [units, networks], in cosine distance.
    """
    units, seeds = study.pictures.shape[:2]
    random = _random_pictures(study, seed, networks)
    flat = study.pictures.reshape(-1, *study.pictures.shape[2:])
    unit_rows, random_rows = whiten(
        [describe_images(flat, observer), describe_images(random.reshape(-1, *random.shape[2:]), observer)]
    )
    unit_rows, random_rows = unit_rows.reshape(units, seeds, -1), random_rows.reshape(units, networks, -1)
    within = 1.0 - np.einsum("usd,utd->ust", unit_rows, unit_rows)
    between = 1.0 - np.einsum("usd,und->usn", unit_rows, random_rows)
    among = within.sum(axis=(1, 2)) / max(1, seeds * (seeds - 1))
    gate = Gate("several seeds", "passed" if seeds > 1 else "not applicable", f"{seeds} pictures a unit")
    samples = {"excess": between.mean(axis=1) - among[:, None], "units": study.unit_numbers}
    sizes = {**study.sizes, "networks": networks}
    evidence = Evidence("prior", study.name, study.title, sizes, samples, (gate,), settings={**study.settings})
    return by_unit(evidence, {"excess": 0})


def _random_pictures(study, seed, networks):
    """Pictures of the same units on random networks: uint8 [units, networks, ...]."""
    network = study.network
    natural = study.natural_inputs(study.survey.kept[:16])
    seeds = [derive_seed(seed, "random network", turn) for turn in range(networks)]
    drawn_pictures = []
    with network.intact():
        for state in draw(network, layers_in_order(network), seeds):
            with network.weights(reestimate_batchnorm(network, state, natural, "estimate")[0]):
                drawn_pictures.append(pictures(study.draw, network, study.layer, study.units, seed=seed, count=1)[:, 0])
    return np.stack(drawn_pictures, axis=1)


@rules.register(
    name="prior",
    about=About(
        "Beyond the prior",
        "distance beyond that of other seeds",
        {
            "BEYOND THE PRIOR": "pictures of untrained networks are less like a unit's than its other seeds are, and it may still mislead",
            "WITHIN THE PRIOR": "untrained networks give pictures that are much like the unit's own",
            "UNDECIDED": "{why}",
        },
        similarity="cosine distance of descriptors",
        sampled=False,
        cannot=CANNOT,
        better="higher",
        counted=COUNTED,
    ),
)
def judge_prior(family, margins, seed):
    """By the interval of the distance beyond other seeds, which must lie above zero, over networks and over units.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return judge_rows(
        family,
        lambda samples: judge_above_zero(samples["excess"], FINDINGS, "random networks"),
        lambda samples: judge_above_zero(samples["excess"].mean(axis=1), FINDINGS, "units"),
    )
