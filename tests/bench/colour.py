"""Colour: the matrix `COLOUR` of lab/visualization/parameterizations.py, measured.

python -m tests.bench.colour
"""

import numpy as np
from scipy.special import logit

import lab


def measured(images):
    """Square root of the mean covariance of RGB in logit space, unit spectral norm, strongest direction first: [3, 3]."""
    # Black and white have no logit: pixels are kept a fiftieth away from both.
    points = [logit(np.clip(image.reshape(-1, 3) / 255.0, 0.02, 0.98)) for image in images]
    values, vectors = np.linalg.eigh(np.mean([np.cov(each.T) for each in points], axis=0))
    root = (vectors * np.sqrt(values))[:, ::-1]
    return root / np.linalg.norm(root, 2)


if __name__ == "__main__":
    print(measured(lab.photographs().images).round(3))
