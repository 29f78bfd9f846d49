"""Stability: do pictures of one unit from different seeds look more alike than pictures of different units?"""

import numpy as np

from sanity.evidence import Evidence, Gate
from sanity.features import features
from sanity.features.embedding import descriptors, embed, whiten


@features.register(about="Seeds agree")
def stability(study, *, seed, observer=None):
    """Are a unit's pictures from different seeds nearer to each other than to those of other units?

    The number is (between - within) / the larger of both, a silhouette (Rousseeuw 1987) against all other units. Above
    zero seeds agree.

    Args:
        study: a `Study`.
        seed: unused, nothing is drawn.
        observer: a `Network` that did not make the pictures, or None: texture and colour.

    Returns:
        `Evidence` with samples silhouette [units, pictures].
    """
    del seed
    units, seeds = study.pictures.shape[:2]
    flat = study.pictures.reshape(-1, *study.pictures.shape[2:])
    (rows,) = whiten([describe_images(flat, observer)])
    distances = (1.0 - rows @ rows.T).reshape(units, seeds, units, seeds)
    enough = units > 1 and seeds > 1
    gate = Gate(
        "several units and seeds", "passed" if enough else "not applicable", f"{units} units, {seeds} pictures each"
    )
    samples = {"silhouette": silhouettes(distances) if enough else np.full((units, seeds), np.nan)}
    samples["units"] = np.array(study.units)
    settings = {"observer": observer.name if observer else "texture and colour", **study.settings}
    return Evidence("stability", study.name, study.subject, study.sizes, samples, (gate,), settings=settings)


def silhouettes(distances):
    """Silhouette of each picture against all other units.

    Args:
        distances: float [units, seeds, units, seeds].

    Returns:
        float64 [units, seeds].
    """
    units, seeds = distances.shape[:2]
    values = np.empty((units, seeds))
    for unit in range(units):
        for number in range(seeds):
            distances_of_picture = distances[unit, number]
            within = np.delete(distances_of_picture[unit], number).mean()
            between = np.delete(distances_of_picture, unit, axis=0).mean()
            values[unit, number] = (between - within) / max(within, between, 1e-12)
    return values


def describe_images(images, observer=None):
    """Images as an observer describes them: float [images, numbers].

    Args:
        images: uint8 [images, rows, columns, channels].
        observer: `Network` that describes them, as of `embed`; None: texture and colour, as of `descriptors`.

    Returns:
        float [images, numbers].
    """
    return descriptors(images) if observer is None else embed(observer, images)
