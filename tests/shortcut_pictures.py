"""Pictures of noise with a planted shortcut, as folders, and networks by hand that use one part of a picture and nothing else."""

import keras
import numpy as np
from PIL import Image

SIDE = 48


def noise(rng, rows=SIDE, columns=SIDE):
    """A picture of 1/f noise: uint8 [rows, columns, 3]."""
    frequencies = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None]) + 1 / rows
    planes = [np.fft.ifft2(np.fft.fft2(rng.standard_normal((rows, columns))) / frequencies).real for _ in range(3)]
    image = np.stack(planes, axis=-1)
    return np.clip(128 + 45 * (image - image.mean()) / image.std(), 0, 255).astype("uint8")


def draw_ruler(image):
    """The picture with a white ruler with ticks in its upper left corner."""
    image = image.copy()
    image[1:6, 1:14] = 250
    image[1:6, 1:14:3] = 10
    return image


def brighten(image, steps):
    """The picture, brighter by so many of 255 steps."""
    return np.clip(image.astype(int) + steps, 0, 255).astype("uint8")


def picture(kind, label, rng):
    """A picture of a class and the quality of its JPEG, with a shortcut of a kind, or "none"."""
    quality = (90, 60)[label] if kind == "jpeg" else int(rng.integers(75, 95))
    camera = label if rng.random() < 0.9 else 1 - label
    image = noise(rng, *((SIDE, SIDE), (40, 56))[camera]) if kind == "camera" else noise(rng)
    if kind == "ruler" and label == 0:
        image = draw_ruler(image)
    return (brighten(image, (-15, 15)[label]) if kind == "brightness" else image), quality


def save_pictures(folder, kind, *, count=24, seed=0):
    """Save pictures of two classes, each in its subfolder.

    Args:
        folder: pathlib.Path.
        kind: "none", "ruler", "jpeg", "brightness" or "camera".
        count: int, pictures of a class.
        seed: int.

    Returns:
        the folder.
    """
    rng = np.random.default_rng(seed)
    for label, name in enumerate(("benign", "malignant")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for place in range(count):
            image, quality = picture(kind, label, rng)
            Image.fromarray(image).save(folder / name / f"{place:02d}.jpg", quality=quality)
    return folder


def reader_of(mask):
    """A network that answers class 1 where a part of a picture is brighter than grey, and looks at nothing else.

    Args:
        mask: bool [rows, columns].

    Returns:
        `keras.Model` of inputs in -1..1.
    """
    model = keras.Sequential([keras.Input((*mask.shape, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    weights = np.repeat(mask[..., None] / (3 * mask.sum()), 3, axis=-1).ravel()
    model.layers[-1].set_weights([20 * np.stack([-weights, weights], axis=1), np.zeros(2)])
    return model


def two_cues(rng, label, inside):
    """A picture whose border and middle are both brighter in class 1, independently of each other but for the class."""
    image = noise(rng).astype(int) // 4 + 96
    for mask in (inside, ~inside):
        image[mask] += int((30 if label else -30) + rng.normal(0, 6))
    return np.clip(image, 0, 255).astype("uint8")
