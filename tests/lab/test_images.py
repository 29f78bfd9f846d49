"""Image files of every sort that users have."""

import numpy as np
import pytest
from PIL import Image

import lab
from lab.data import crops, files
from lab.images import read


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
    whole = save(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    for name, words in (("half.jpg", "whole"), ("text.png", "does not recognize"), ("none.png", "is none")):
        with pytest.raises(ValueError, match=words):
            read(tmp_path / name)
    monkeypatch.setattr("lab.images.MOST_PIXELS", 100)
    with pytest.raises(ValueError, match="at most 100 pixels"):
        read(tmp_path / "whole.jpg")


def test_folders(save, tmp_path):
    with pytest.raises(ValueError, match="holds none"):
        lab.folder(tmp_path)
    with pytest.raises(ValueError, match="which is none"):
        lab.folder(tmp_path / "missing")
    (tmp_path / "cat").mkdir()
    save(COLOUR, "cat/b.png")
    save(COLOUR, "cat/a.png")
    found = lab.folder(tmp_path)
    assert found.names == ("cat/a.png", "cat/b.png") and found.labels == ("cat", "cat")
    save(COLOUR, "loose.png")
    assert lab.folder(tmp_path).labels is None
    assert files([tmp_path / "loose.png"]).names == ("loose.png",)


def test_photographs_and_crops():
    found = lab.photographs(["chelsea", "grace_hopper"])
    assert [image.shape for image in found.images] == [(300, 451, 3), (600, 512, 3)]
    with pytest.raises(ValueError, match="'chelse'.*chelsea"):
        lab.photographs(["chelse"])
    stock = crops(found, parts=(1, 2))
    assert len(stock) > 10 and all(image.shape[0] == image.shape[1] for image in stock.images)
    assert len(set(stock.names)) == len(stock)
