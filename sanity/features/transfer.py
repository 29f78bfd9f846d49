"""Transfer: do other networks recognize the class in pictures that were not made on them?"""

import numpy as np
from scipy.ndimage import gaussian_filter

from lab import routines
from sanity.evidence import Evidence, Gate
from sanity.features import features


@features.register(about="Other networks agree")
def transfer(study, *, seed, others=(), blur=2.0):
    """Whether other networks with the same classes rank the picture's class first, as it is and after a Gaussian blur.

    Pictures that live on fine noise collapse under the blur.

    Args:
        study: a `Study`.
        seed: unused, nothing is drawn.
        others: `Network`s.
        blur: float, standard deviation in pixels.

    Returns:
        `Evidence` with samples plain/NAME and blurred/NAME, 0 or 1, [units, pictures].
    """
    del seed
    applies = study.layer is None and len(others) > 0
    words = ", ".join(other.name for other in others) or "none was given"
    gates = [Gate("classes and other networks", "passed" if applies else "not applicable", words)]
    if applies:
        gates.append(_class_gate(study.network, others))
    samples = {"units": np.array(study.units)}
    blurred = gaussian_filter(study.pictures.astype("float32"), (0, 0, blur, blur, 0))
    for other in others if all(gate.status == "passed" for gate in gates) else ():
        samples[f"plain/{other.name}"] = _recognized(study, other, study.pictures)
        samples[f"blurred/{other.name}"] = _recognized(study, other, blurred)
    settings = {"others": [other.name for other in others], "blur": blur, **study.settings}
    return Evidence("transfer", study.name, study.subject, study.sizes, samples, tuple(gates), settings=settings)


def _class_gate(network, others):
    """Whether other networks have as many classes, so that a class has one number in all: `Gate`."""
    classes = network.classes_in()
    counts = {other.name: other.classes_in() for other in others}
    words = "; ".join(f"{name} tells {count} classes apart" for name, count in counts.items() if count != classes)
    return Gate(
        "the same classes",
        "failed" if words else "passed",
        f"{words}, {network.name} {classes}" if words else f"{classes}",
    )


def _recognized(study, network, pictures):
    flat = pictures.reshape(-1, *pictures.shape[2:])
    logits = routines.logits(network, network.preprocess(list(flat)))
    wanted = np.repeat(study.units, pictures.shape[1])
    return (logits.argmax(axis=1) == wanted).reshape(pictures.shape[:2]).astype("float64")
