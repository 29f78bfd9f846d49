"""Pictures: what takes the place of columns where the data are pictures: numbers that are computed of each."""

import numpy as np

from sanity.audit.rows import Column

# Weights of red, green and blue in brightness (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
# Channels of a picture that is grey, or red, green and blue. What other bands mean is not known.
GREY, COLOURED = 1, 3
SIZES = ("height", "width")
NAMES = ("brightness", "contrast", "sharpness", "colourfulness", *SIZES)
OF_BANDS = ("brightness", "contrast", "sharpness")


def statistic_names(channels):
    """What is computed of a picture.

    Args:
        channels: int. Of one and of three there is brightness. Of others each band has numbers of its own, since a band may be
            opacity, black or infrared.

    Returns:
        tuple of str.
    """
    if channels in (GREY, COLOURED):
        return NAMES
    return (*(f"{name} of band {band + 1}" for band in range(channels) for name in OF_BANDS), *SIZES)


def picture_statistics(images):
    """Numbers of each picture.

    Colourfulness is that of Hasler and Süsstrunk (https://doi.org/10.1117/12.477378), sharpness the deviation of the
    differences between neighbours.

    Args:
        images: sequence of arrays [rows, columns, channels] in 0..255, with as many channels each.

    Returns:
        dict of name, as of `statistic_names`, to float64 [images].
    """
    rows = [_numbers(np.asarray(image, "float32")) for image in images]
    return {name: np.array([row[name] for row in rows], "float64") for name in rows[0]}


def _numbers(image):
    sizes = dict(zip(SIZES, image.shape))
    if image.shape[-1] not in (GREY, COLOURED):
        return {**_numbers_of_bands(image), **sizes}
    colours = three_channels(image)
    grey = colours @ LUMA.astype("float32") / 255
    return {**_numbers_of_plane(grey), "colourfulness": _colourfulness(colours / 255), **sizes}


def three_channels(image):
    """A grey picture or one in colours as red, green and blue.

    Args:
        image: [rows, columns, 1 or 3].

    Returns:
        [rows, columns, 3].
    """
    return image if image.shape[-1] == COLOURED else np.repeat(image, COLOURED, axis=-1)


def _numbers_of_bands(image):
    planes = np.moveaxis(image / 255, -1, 0)
    numbers = [_numbers_of_plane(plane) for plane in planes]
    return {f"{name} of band {place + 1}": row[name] for place, row in enumerate(numbers) for name in OF_BANDS}


def _numbers_of_plane(plane):
    return {"brightness": plane.mean(), "contrast": plane.std(), "sharpness": _sharpness(plane)}


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
