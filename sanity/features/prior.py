"""Prior: would an untrained network have given much the same picture?"""

import numpy as np

from sanity.evidence import Evidence, Gate
from sanity.features import features
from sanity.features.embedding import whiten
from sanity.features.stability import describe_images
from sanity.features.study import pictures
from sanity.randomization import draw, layers_in_order, reestimate_batchnorm
from sanity.seeds import derive_seed


@features.register(about="Beyond the prior")
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
        `Evidence` with samples excess [units, networks], in cosine distance.
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
    samples = {"excess": between.mean(axis=1) - among[:, None], "units": np.array(study.units)}
    sizes = {**study.sizes, "networks": networks}
    maps = {"random": random[:, 0]}
    return Evidence("prior", study.name, study.subject, sizes, samples, (gate,), maps=maps, settings={**study.settings})


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
