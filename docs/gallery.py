"""Gallery of methods: one map of one photograph by every method of the core installation, and the page that shows them.

python -m docs.gallery
"""

import inspect
import io
import pathlib
import re

import numpy as np
from PIL import Image

import lab
from lab.attribution import explainers
from lab.maps import pooled
from lab.registry import summary
from recipes.report.figures import overlay_map
from recipes.report.photographs import strongest_part

DOCS = pathlib.Path(__file__).parent
PICTURES = DOCS / "images" / "methods"
PHOTOGRAPH, CLASS, SIDE = "chelsea", "Egyptian cat", 256
# Of a picture's file: WebP's qualities to try, and the most bytes.
QUALITIES, BYTES = (80, 70, 60), 25_000
# Which methods stand under which heading, by the tags that they are registered with.
HEADINGS = {
    "input": "At the input",
    "parts": "Parts taken away",
    "layer": "Class activation maps",
    "activation": "Units of a layer",
    "tf_explain": "tf_explain",
}
HEAD = """# Gallery of methods

A picture is no evidence. A map may look convincing and say nothing about the network.
[Checks and verdicts](checks.md) tells how methods are tested, and [how to read a map](how-to/read-a-map.md) what a map may say.

All maps explain the class {name} of one photograph for EfficientNet-Lite0, each by the method's own defaults.
A signed map has red for what raises the score, and blue for what lowers it.
An unsigned map starts at zero, and bright is strong.
The strongest colour of each map stands for another value, so that colours cannot be compared between maps.
Maps of units of a layer are shown summed over its channels.
This network has no attention, so that [methods of attention](methods.md) are not here.

![The photograph of a cat](images/methods/photograph.webp)
"""


def method_names():
    """Every method of the core installation that explains a network of convolutions, and no control or user's own: list of str."""
    others = {*explainers.names(control=True), *explainers.names(needs="attention")}
    own = [name for name in explainers if explainers.get(name).__module__.startswith("lab.") and name not in others]
    own = [name for name in own if "." not in name]
    return own + explainers.names(library="tf_explain")


def heading(name):
    """The heading that a method stands under: str."""
    explainer = explainers.get(name)
    return HEADINGS[explainers.tag(explainer, "library") or explainers.tag(explainer, "resolution", "input")]


def describe(name):
    """A method in its own words, with links to its papers: str, in Markdown."""
    words, papers, rest = re.fullmatch(r"(.*?) \(([^()]*http[^()]*)\)(.*)", summary(explainers.get(name))).groups()
    links = (re.sub(r"(.*), (https?://[^\s,;]+)", r"[\1](\2)", paper) for paper in papers.split("; "))
    return f"{words}{rest.removesuffix('.')}. {'; '.join(links)}."


def entry(name, alt, signed):
    """A method's card: its picture, name, description, and whether its maps are signed: str, in Markdown."""
    # One photograph's map may have one sign.
    words = inspect.getdoc(explainers.get(name))
    sign = "Signed" if signed or "signed float32" in words.replace("unsigned float32", "") else "Unsigned"
    return f"- ![{alt}](images/methods/{name}.webp)\n\n    **`{name}`**. {describe(name)} *{sign}.*\n"


def draw(plane, photograph):
    """A map over the pale photograph, in the colours of the report.

    Args:
        plane: float [rows, columns].
        photograph: Pillow image of SIDE pixels.

    Returns:
        Pillow image; whether the map is signed.
    """
    content, _, signed = overlay_map(plane, SIDE)
    grey = 0.4 * 255 + 0.6 * np.asarray(photograph, "float32").mean(axis=-1)
    pale = Image.fromarray(np.round(grey).astype("uint8")).convert("RGBA")
    return Image.alpha_composite(pale, Image.open(io.BytesIO(content)).convert("RGBA")).convert("RGB"), signed


def save(image, name):
    """Write a picture of the gallery in at most BYTES, at the best quality that allows it."""
    for quality in QUALITIES:
        image.save(PICTURES / f"{name}.webp", quality=quality, method=6)
        if (PICTURES / f"{name}.webp").stat().st_size <= BYTES:
            break


def draw_method(network, inputs, photograph, name):
    """Draw a method's map -> its card."""
    record = lab.explain(network, inputs, CLASS, method=name)
    plane = pooled(record.maps)[0]
    image, signed = draw(plane, photograph)
    save(image, name)
    return entry(name, f"Map by {name}, strongest {strongest_part(plane)}", signed)


def page(cards):
    """The page of the gallery.

    Args:
        cards: dict of name to card.

    Returns:
        str, in Markdown.
    """
    parts = [HEAD.format(name=CLASS)]
    for title in HEADINGS.values():
        own = [card for name, card in cards.items() if heading(name) == title]
        parts.append("\n".join([f"## {title}\n", '<div class="grid cards" markdown>\n', *own, "</div>\n"]))
    return "\n".join(parts)


def main():
    """Draw every method, and write the page."""
    network = lab.load()
    inputs = network.preprocess(lab.photographs([PHOTOGRAPH]).images)
    pixels = np.clip(network.deprocess(inputs)[0], 0, 255).round().astype("uint8")
    photograph = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    PICTURES.mkdir(exist_ok=True)
    save(photograph, "photograph")
    cards = {name: draw_method(network, inputs, photograph, name) for name in method_names()}
    (DOCS / "gallery.md").write_text(page(cards), encoding="utf-8")


if __name__ == "__main__":
    main()
