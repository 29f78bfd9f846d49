"""Pictures: what takes the place of columns where the data are pictures: numbers that are computed of each."""

import numpy as np

from sanity.audit.rows import Column

# Weights of red, green and blue in brightness (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])


def picture_statistics(images):
    """Numbers of each picture.

    Colourfulness is that of Hasler and Süsstrunk (https://doi.org/10.1117/12.477378), sharpness the deviation of the
    differences between neighbours.

    Args:
        images: sequence of arrays [rows, columns, channels] in 0..255.

    Returns:
        dict of name to float64 [images].
    """
    rows = [_numbers(np.asarray(image, "float32")) for image in images]
    return {name: np.array([row[name] for row in rows], "float64") for name in NAMES}


NAMES = ("brightness", "contrast", "sharpness", "colourfulness", "height", "width")


def _numbers(image):
    colours = image if image.shape[-1] == 3 else np.repeat(image[..., :1], 3, axis=-1)
    grey = colours @ LUMA.astype("float32") / 255
    return {
        "brightness": grey.mean(),
        "contrast": grey.std(),
        "sharpness": _sharpness(grey),
        "colourfulness": _colourfulness(colours / 255),
        "height": image.shape[0],
        "width": image.shape[1],
    }


def _sharpness(grey):
    differences = [np.diff(grey, axis=axis).ravel() for axis in (0, 1)]
    return np.sqrt(np.mean(np.concatenate(differences) ** 2)) if grey.size > 1 else 0.0


def _colourfulness(colours):
    red, green, blue = np.moveaxis(colours, -1, 0)
    first, second = red - green, (red + green) / 2 - blue
    return np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean())


def picture_columns(statistics, names_by_set):
    """Statistics and kinds of files as columns, with the same levels in all sets.

    Args:
        statistics: dict of set to dict, as of `picture_statistics`.
        names_by_set: dict of set to list of str, the names of the pictures with their endings.

    Returns:
        dict of set to tuple of `Column`.
    """
    endings = {
        table: [name.rpartition(".")[2].lower() if "." in name else "none" for name in names]
        for table, names in names_by_set.items()
    }
    levels = tuple(sorted({ending for values in endings.values() for ending in values}))
    lookup = {level: place for place, level in enumerate(levels)}
    columns = {}
    for table, numbers in statistics.items():
        kinds = np.array([lookup[ending] for ending in endings[table]], "float64")
        columns[table] = tuple(Column(name, values, (), "statistic") for name, values in numbers.items())
        columns[table] += (Column("file kind", kinds, levels, "statistic"),) if len(levels) > 1 else ()
    return columns
