"""Image files of every sort that users have."""

import os
import warnings

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

import lab
from lab.data import crops, files
from lab.images import read
from lab.preprocessing import linear_preprocessing


@pytest.fixture
def save(tmp_path):
    def save(array, name, mode=None, **options):
        path = tmp_path / name
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path, **options)
        return path

    return save


COLOUR = np.zeros((6, 9, 3), np.uint8)
COLOUR[:, :4] = (200, 100, 50)


def test_modes(save, tmp_path):
    assert np.array_equal(read(save(COLOUR, "rgb.png")), COLOUR)
    assert read(save(COLOUR[..., 0], "grey.png")).shape == (6, 9, 3)
    assert read(save(COLOUR, "palette.png", "P")).shape == (6, 9, 3)
    assert np.abs(read(save(COLOUR, "cmyk.jpg", "CMYK", quality=100)).astype(int) - COLOUR)[:, :2].max() < 12
    deep = np.linspace(0, 65535, 54).reshape(6, 9).astype(np.uint16)
    assert np.array_equal(read(save(deep, "deep.png"))[..., 0], np.round(deep / 65535 * 255).astype(np.uint8))
    layered = np.dstack([COLOUR, np.zeros((6, 9), np.uint8)])
    assert (read(save(layered, "clear.png")) == 255).all()
    frames = [Image.fromarray(np.full((5, 5), value, np.uint8)) for value in (10, 250)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert read(tmp_path / "moving.gif").mean() < 20


def test_exif_turns_the_picture(save):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(save(COLOUR, "turned.jpg", exif=exif, quality=100)).shape == (9, 6, 3)


def test_refusals(save, tmp_path, monkeypatch):
    encoded = save(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(encoded[: len(encoded) // 2])
    (tmp_path / "text.png").write_text("no image")
    for name, words in (("half.jpg", "whole"), ("text.png", "does not recognize"), ("none.png", "is not a file")):
        with pytest.raises(ValueError, match=words):
            read(tmp_path / name)
    monkeypatch.setattr("lab.images.MOST_PIXELS", 100)
    with pytest.raises(ValueError, match="at most 100 pixels"):
        read(tmp_path / "whole.jpg")


def test_folders(save, tmp_path):
    with pytest.raises(ValueError, match="holds none"):
        lab.folder(tmp_path)
    with pytest.raises(ValueError, match="which is not a folder"):
        lab.folder(tmp_path / "missing")
    (tmp_path / "cat").mkdir()
    save(COLOUR, "cat/b.png")
    save(COLOUR, "cat/a.png")
    data = lab.folder(tmp_path)
    assert data.names == ("cat/a.png", "cat/b.png") and data.labels == ("cat", "cat")
    save(COLOUR, "loose.png")
    assert lab.folder(tmp_path).labels is None
    assert files([tmp_path / "loose.png"]).names == ("loose.png",)


def test_photographs_and_crops():
    data = lab.photographs(["chelsea", "grace_hopper"])
    assert [image.shape for image in data.images] == [(300, 451, 3), (600, 512, 3)]
    with pytest.raises(ValueError, match="'chelse'.*chelsea"):
        lab.photographs(["chelse"])
    natural_images = crops(data, parts=(1, 2))
    assert len(natural_images) > 10 and all(image.shape[0] == image.shape[1] for image in natural_images.images)
    assert len(set(natural_images.names)) == len(natural_images)
    assert set(natural_images.groups) == {"chelsea", "grace_hopper"} and set(crops(natural_images).groups) == set(
        natural_images.groups
    )
    assert all(name.startswith(group) for name, group in zip(natural_images.names, natural_images.groups))


def test_an_image_is_its_own_source_unless_groups_say_otherwise():
    images = (np.zeros((2, 2, 3), "uint8"),) * 3
    assert lab.Data(("a", "a", "b"), images).groups == (0, 1, 2)
    with pytest.raises(ValueError, match="2 groups for 3 images"):
        lab.Data(tuple("abc"), images, groups=("x", "y"))


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def test_postscript_that_calls_itself_png_is_not_given_to_ghostscript(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *rest, **more: pytest.fail("Ghostscript was started"))
    (tmp_path / "picture.png").write_bytes(POSTSCRIPT)
    with pytest.raises(lab.Refused, match="picture.png.*does not recognize"):
        read(tmp_path / "picture.png")


@pytest.mark.timeout(20)
def test_a_pipe_and_a_device_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero", tmp_path, tmp_path / ("x" * 5000)):
        with pytest.raises(lab.Refused, match="which is not a file"):
            read(path)


@pytest.mark.parametrize(
    "bad, words",
    [
        (np.full((4, 4), np.nan), "16 of 16 are NaN"),
        (np.where(np.eye(4), np.inf, 1.0), "4 of 16 are NaN or infinite"),
        (np.where(np.eye(4), np.nan, 1.0), "4 of 16 are NaN"),
        (np.linspace(-3, 3, 16).reshape(4, 4), "from -3 to 3"),
    ],
)
def test_values_that_cannot_be_painted_are_refused(tmp_path, bad, words):
    tifffile.imwrite(tmp_path / "scan.tif", bad.astype("float32"))
    with pytest.raises(lab.Refused, match=f"scan.tif.*{words}"):
        read(tmp_path / "scan.tif")


TWELVE = np.arange(4096, dtype="uint16").reshape(64, 64)


def test_twelve_bits_keep_their_levels_or_the_loss_is_said(tmp_path, save):
    path = save(TWELVE, "xray.png")
    with pytest.warns(UserWarning, match=r"xray.png.*divided by 65535.*4,096 levels became 17.*levels="):
        assert read(path).max() == 16
    image = read(path, levels=4095)
    assert image.dtype == np.float32 and image.shape == (64, 64, 3)
    np.testing.assert_allclose(image[..., 1], TWELVE / 4095 * 255, rtol=1e-6)
    with pytest.raises(lab.Refused, match="1000.*4095"):
        read(path, levels=1000)
    for bad in (0, -1, float("nan"), "12", True):
        with pytest.raises(lab.Refused, match="levels="):
            read(path, levels=bad)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_colours_of_sixteen_bits_are_not_cut_to_eight(tmp_path, name):
    colours = np.stack([TWELVE, TWELVE[::-1], TWELVE.T], axis=-1)
    if name.endswith("png"):
        cv2.imwrite(str(tmp_path / name), colours[..., ::-1])
    else:
        tifffile.imwrite(tmp_path / name, colours, photometric="rgb")
    np.testing.assert_allclose(read(tmp_path / name, levels=4095), colours / 4095 * 255, rtol=1e-6)
    with pytest.warns(UserWarning, match="4,096 levels became 17"):
        read(tmp_path / name)


def test_eight_bits_in_sixteen_are_silent_and_floats_say_their_divisor(tmp_path, save):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(np.unique(read(save(np.arange(256, dtype="uint16").reshape(16, 16) * 257, "wide.png")))) == 256
        assert not read(save(np.zeros((4, 4), "float32"), "black.tif")).any()
    with pytest.warns(UserWarning, match="largest of them, 0.5"):
        assert read(save(np.linspace(0, 0.5, 16, dtype="float32").reshape(4, 4), "half.tif")).max() == 255
    assert read(tmp_path / "half.tif", levels=1).max() == 127.5
    with pytest.warns(UserWarning, match="half.tif has 8|grey.png has 8"):
        read(save(COLOUR[..., 0], "grey.png"), levels=4095)


FOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype=np.uint8)


def test_four_bands_come_as_they_are(tmp_path, save):
    save(FOUR, "rgba.png")
    Image.fromarray(FOUR, "CMYK").save(tmp_path / "cmyk.tif")
    tifffile.imwrite(tmp_path / "nir.tif", FOUR, photometric="rgb", extrasamples=["unspecified"])
    tifffile.imwrite(
        tmp_path / "bands.tif", np.moveaxis(FOUR, -1, 0), photometric="minisblack", planarconfig="separate"
    )
    for name in ("rgba.png", "cmyk.tif", "nir.tif", "bands.tif"):
        assert np.array_equal(read(tmp_path / name, channels=4), FOUR), name
    for path in (save(COLOUR, "rgb.png"), save(COLOUR[..., 0], "grey.png")):
        with pytest.raises(lab.Refused, match="4 channels.*Received"):
            read(path, channels=4)
    with pytest.warns(UserWarning, match="nir.tif has 4 bands"):
        assert np.array_equal(read(tmp_path / "nir.tif"), FOUR[..., :3])
    with pytest.raises(lab.Refused, match="3 channels"):
        read(tmp_path / "bands.tif")


def test_one_channel_from_colours_is_said_and_from_grey_is_silent(save):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alike = np.repeat(FOUR[..., :1], 3, axis=-1)
        for path in (save(FOUR[..., 0], "grey.png"), save(alike, "alike.png"), save(FOUR[..., 0], "p.gif")):
            assert np.array_equal(read(path, channels=1), FOUR[..., :1])
    path = save(COLOUR, "rgb.png")
    with pytest.warns(UserWarning, match="rgb.png has colours"):
        grey = read(path, channels=1)
    assert np.array_equal(grey[..., 0], np.asarray(Image.open(path).convert("L")))


# Where the upper left corner of what is stored lies, and whether it is stored column by column: EXIF's table, by hand.
TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 3])
def test_scans_of_every_kind_are_turned_upright(tmp_path, orientation, dtype, bands):
    stored = FOUR[..., :bands]
    tag = [(274, "H", 1, orientation, True)]
    kind = "rgb" if bands == 3 else "minisblack"
    tifffile.imwrite(
        tmp_path / "scan.tif", stored.astype(dtype).squeeze(), photometric=kind, extratags=tag, metadata=None
    )
    assert np.array_equal(read(tmp_path / "scan.tif", channels=bands, levels=255), TURNED[orientation](stored))


def test_scans_whose_white_is_small_and_stacks_are_noticed(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", TWELVE, photometric="miniswhite")
    with pytest.raises(lab.Refused, match="film.tif.*MINISWHITE"):
        read(tmp_path / "film.tif", levels=4095)
    tifffile.imwrite(tmp_path / "stack.tif", FOUR, photometric="minisblack")
    with pytest.warns(UserWarning, match="stack.tif holds 6 images"):
        read(tmp_path / "stack.tif")


def test_colours_that_are_no_rgb_are_not_taken_for_it(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "lab.tif")
    tifffile.imwrite(tmp_path / "deep.tif", FOUR.astype("uint16"), photometric="separated")
    for name, words in (("lab.tif", "in LAB"), ("deep.tif", "of SEPARATED")):
        with pytest.raises(lab.Refused, match=words):
            read(tmp_path / name)
    assert np.array_equal(read(tmp_path / "deep.tif", channels=4, levels=255), FOUR)


def test_folders_carry_channels_and_levels(tmp_path, save):
    save(FOUR, "a.png"), save(FOUR, "b.PNG")
    data = lab.folder(tmp_path, channels=4)
    assert data.names == ("a.png", "b.PNG") and np.array_equal(data.images[1:][0], FOUR)
    deep = save(TWELVE, "deep.png")
    np.testing.assert_allclose(files([deep], channels=1, levels=4095).images[0][..., 0], TWELVE / 4095 * 255, rtol=1e-6)


@pytest.mark.timeout(60)
def test_links_names_and_broken_files_of_folders(tmp_path, save):
    (tmp_path / "Vögel und Käfer").mkdir()
    save(COLOUR, "Vögel und Käfer/größte Möwe, 2.JPG")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere"
    elsewhere.mkdir()
    Image.fromarray(COLOUR).save(elsewhere / ("n" * 200 + ".png"))
    (tmp_path / "linked").symlink_to(elsewhere)
    (tmp_path / "linked" / "empty.png").write_bytes(b"")
    data = lab.folder(tmp_path)
    assert data.labels == ("Vögel und Käfer", "linked", "linked") and data.names[0].endswith("größte Möwe, 2.JPG")
    with pytest.raises(lab.Refused, match="empty.png"):
        list(data.images)
    (tmp_path / "linked" / "empty.png").unlink()
    (tmp_path / "linked" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(lab.Refused, match="gone.png"):
        list(lab.folder(tmp_path).images)


@pytest.mark.timeout(60)
def test_many_files_are_listed_and_not_read(tmp_path):
    for number in range(20_000):
        (tmp_path / f"{number}.png").touch()
    assert len(lab.folder(tmp_path)) == 20_000


def test_arrays_have_the_channels_of_the_network():
    net = lab.load(
        keras.Sequential([keras.Input((6, 9, 4)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]),
        input_range=(0, 1),
    )
    for images in (FOUR, [FOUR], FOUR[None], FOUR.astype("float64")):
        np.testing.assert_allclose(net.preprocess(images), FOUR[None] / 255, atol=1e-6)
    np.testing.assert_allclose(net.preprocess(Image.fromarray(FOUR)), FOUR[None] / 255, atol=1e-6)
    for bad in (FOUR[..., :3], FOUR[..., 0], FOUR[..., :1]):
        with pytest.raises(lab.Refused, match="4 channels"):
            net.preprocess([bad])
    with pytest.raises(lab.Refused, match="3 channels"):
        linear_preprocessing(0, 1).preprocess([FOUR], (6, 9))


def test_one_image_is_one_image_in_every_container():
    rgb = Image.fromarray(FOUR[..., :3])
    palette = rgb.convert("P")
    expected = FOUR[None, ..., :3] / 255
    for image in (FOUR[..., :3], rgb, [rgb], tf.constant(FOUR[..., :3]), [tf.constant(FOUR[..., :3])]):
        np.testing.assert_allclose(linear_preprocessing(0, 1).preprocess(image, (6, 9)), expected, atol=1e-6)
    colours = np.asarray(palette.convert("RGB"))[None] / 255
    np.testing.assert_allclose(linear_preprocessing(0, 1).preprocess(palette, (6, 9)), colours, atol=1e-6)


def test_images_in_0_to_1_are_noticed_and_black_is_not():
    rgb = linear_preprocessing(0, 1)
    with pytest.warns(UserWarning, match="multiply such by 255"):
        rgb.preprocess([FOUR[..., :3] / 255.0], (6, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rgb.preprocess([np.zeros((6, 9, 3))], (6, 9))
        rgb.preprocess([np.ones((6, 9, 3), "uint8")], (6, 9))
        rgb.preprocess([np.full((6, 9, 3), 0.5), np.full((6, 9, 3), 200.0)], (6, 9))


def test_signed_bytes_are_never_wrapped(tmp_path):
    """Pillow reads -1 as 255."""
    tifffile.imwrite(tmp_path / "signed.tif", np.arange(-8, 8, dtype="int8").reshape(4, 4))
    with pytest.raises(lab.Refused, match="signed bytes"):
        read(tmp_path / "signed.tif", channels=1)
