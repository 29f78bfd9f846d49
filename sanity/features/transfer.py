"""Transfer: do networks that the pictures were not made on see the class in them?"""

import numpy as np
from scipy.ndimage import gaussian_filter

from lab import routines
from sanity.evidence import Evidence, Gate
from sanity.features import features


@features.register(about="Other networks agree")
def transfer(study, *, seed, others=(), blur=2.0):
    """Whether other networks with the same classes put the picture's class first, as it is and after a Gaussian blur.

    others: `Network`s. blur: standard deviation in pixels: pictures that live on fine noise collapse under it. -> Evidence with
    samples plain/<name> and blurred/<name>, 0 or 1, [units, pictures].
    """
    del seed
    asked = study.layer is None and len(others) > 0
    words = ", ".join(each.name for each in others) or "none was given"
    gates = [Gate("classes and other networks", "passed" if asked else "not applicable", words)]
    if asked:
        gates.append(_class_gate(study.network, others))
    samples = {"units": np.array(study.units)}
    soft = gaussian_filter(study.pictures.astype("float32"), (0, 0, blur, blur, 0))
    for other in others if all(gate.status == "passed" for gate in gates) else ():
        samples[f"plain/{other.name}"] = _recognized(study, other, study.pictures)
        samples[f"blurred/{other.name}"] = _recognized(study, other, soft)
    settings = {"others": [each.name for each in others], "blur": blur, **study.settings}
    return Evidence("transfer", study.name, study.subject, study.sizes, samples, tuple(gates), settings=settings)


def _class_gate(network, others):
    """Whether other networks tell as many classes apart, so that a class has one number in all: `Gate`."""
    own = network.classes_in()
    counts = {each.name: each.classes_in() for each in others}
    words = "; ".join(f"{name} tells {count} classes apart" for name, count in counts.items() if count != own)
    return Gate(
        "the same classes", "failed" if words else "passed", f"{words}, {network.name} {own}" if words else f"{own}"
    )


def _recognized(study, network, pictures):
    flat = pictures.reshape(-1, *pictures.shape[2:])
    logits = routines.logits(network, network.preprocess(list(flat)))
    wanted = np.repeat(study.units, pictures.shape[1])
    return (logits.argmax(axis=1) == wanted).reshape(pictures.shape[:2]).astype("float64")
