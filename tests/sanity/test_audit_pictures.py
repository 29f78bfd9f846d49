"""Statistics of pictures: of grey ones, of colours, and of bands of which nobody knows what they mean."""

import numpy as np
import pytest

from sanity.audit.descriptors import ALONE, COLOURS, GRADIENTS, picture_descriptors
from sanity.audit.pictures import NAMES, picture_columns, picture_statistics, statistic_names


def picture(channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (9, 7, channels), dtype="uint8")


def test_brightness_of_colours_is_their_luma_and_that_of_grey_pictures_their_mean():
    image = picture(3).astype("float64")
    luma = (0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]) / 255
    numbers = picture_statistics([image])
    assert numbers["brightness"][0] == pytest.approx(luma.mean()) and numbers["contrast"][0] == pytest.approx(
        luma.std()
    )
    grey = picture(1)
    numbers = picture_statistics([grey])
    assert numbers["brightness"][0] == pytest.approx(grey.mean() / 255) and numbers["colourfulness"][0] == 0


@pytest.mark.parametrize("channels", (2, 4, 5))
def test_each_of_other_bands_has_numbers_of_its_own(channels):
    image = picture(channels)
    numbers = picture_statistics([image, picture(channels, 1)])
    assert tuple(numbers) == statistic_names(channels) and len(numbers) == 3 * channels + 2
    for band in range(channels):
        plane = image[..., band] / 255
        steps = np.concatenate([np.diff(plane, axis=axis).ravel() for axis in (0, 1)])
        expected = (plane.mean(), plane.std(), np.sqrt((steps**2).mean()))
        for name, value in zip(("brightness", "contrast", "sharpness"), expected):
            assert numbers[f"{name} of band {band + 1}"][0] == pytest.approx(value, rel=1e-5)
    assert numbers["height"][0] == 9 and numbers["width"][0] == 7


def test_opacity_that_changes_is_seen_and_changes_no_other_band():
    """The first channel alone stood for all four, so that nothing of the other three was seen."""
    first = picture(4)
    second = first.copy()
    second[..., 3] = second[..., 3] // 2
    one, other = (picture_statistics([image]) for image in (first, second))
    differing = {name for name in one if one[name][0] != other[name][0]}
    assert differing == {f"{name} of band 4" for name in ("brightness", "contrast", "sharpness")}


def test_statistics_become_columns_under_their_names():
    columns = picture_columns({"test": picture_statistics([picture(4)])}, {"test": ["a.png"]})["test"]
    assert tuple(column.name for column in columns) == statistic_names(4)
    assert statistic_names(1) == statistic_names(3) == NAMES


def test_descriptors_of_four_bands_look_at_all_of_them():
    image = picture(4)
    descriptors = picture_descriptors([image])
    expected = [np.bincount(image[..., band].ravel() // (256 // ALONE), minlength=ALONE) for band in range(4)]
    np.testing.assert_allclose(descriptors[COLOURS][0], np.concatenate(expected) / 63, rtol=1e-6)
    mean = picture_descriptors([image.mean(axis=-1, keepdims=True)])[GRADIENTS]
    np.testing.assert_allclose(descriptors[GRADIENTS], mean, atol=1e-4)
