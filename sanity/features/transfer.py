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
    gate = Gate("classes and other networks", "passed" if asked else "not applicable", words)
    samples = {"units": np.array(study.units)}
    soft = gaussian_filter(study.pictures.astype("float32"), (0, 0, blur, blur, 0))
    for other in others if asked else ():
        samples[f"plain/{other.name}"] = _right(study, other, study.pictures)
        samples[f"blurred/{other.name}"] = _right(study, other, soft)
    settings = {"others": [each.name for each in others], "blur": blur, **study.settings}
    return Evidence("transfer", study.name, study.subject, study.sizes, samples, (gate,), settings=settings)


def _right(study, network, pictures):
    flat = pictures.reshape(-1, *pictures.shape[2:])
    logits = routines.logits(network, network.preprocess(list(flat)))
    wanted = np.repeat(study.units, pictures.shape[1])
    return (logits.argmax(axis=1) == wanted).reshape(pictures.shape[:2]).astype("float64")
