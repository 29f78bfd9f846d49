"""What pages say of methods and checks covers every registered one."""

import re
import sys

import pytest
from PIL import Image

from docs import gallery
from sanity.checks import checks

CHECKS = (gallery.DOCS / "checks.md").read_text(encoding="utf-8")
GALLERY = (gallery.DOCS / "gallery.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(checks))
def test_every_check_has_its_section(name):
    section = re.search(rf"^### `{name}`\n(.*?)(?=^##)", CHECKS, re.S | re.M)[1]
    for part in ("**Question.**", "**Protocol.**", "**PASS does not mean**", "**References.**"):
        assert part in section, part
    papers = re.findall(r"https?://[^\s,;)]+[^\s,;).]", sys.modules[checks.get(name).__module__].__doc__)
    assert all(f"({paper})" in section for paper in papers), papers
    assert f"[`{name}`](#{name})" in CHECKS


def test_the_page_of_checks_names_no_other():
    assert set(re.findall(r"^### `(\w+)`", CHECKS, re.M)) == set(checks)


@pytest.mark.parametrize("name", gallery.method_names())
def test_every_method_has_its_picture_and_entry(name):
    alt, words, sign = re.search(
        rf"- !\[(.+)\]\(images/methods/{re.escape(name)}\.webp\)\n\n    \*\*`{re.escape(name)}`\*\*\. (.+) \*(\w+)\.\*",
        GALLERY,
    ).groups()
    assert words == gallery.describe(name) and "](http" in words
    assert name in alt and sign in ("Signed", "Unsigned")
    picture = gallery.PICTURES / f"{name}.webp"
    assert picture.stat().st_size <= gallery.BYTES and Image.open(picture).size == (gallery.SIDE, gallery.SIDE)


def test_no_picture_lacks_a_method():
    stems = {path.name.removesuffix(".webp") for path in gallery.PICTURES.iterdir()}
    assert stems == {"photograph", *gallery.method_names()}
    assert GALLERY.count("- ![") == len(gallery.method_names())


def test_the_gallery_begins_with_what_a_picture_is_not():
    assert GALLERY.split("\n\n")[1].startswith("A picture is no evidence.") and "](checks.md)" in GALLERY[:300]
