"""Atlas: what a layer represents, over one photograph or over all images."""

import pathlib

import click
from pydantic import Field

from lab.refusal import Refused
from lab.registry import nearest
from recipes.fields import Table
from recipes.help import PlainCommand
from recipes.job import Job
from recipes.launch import launch_tables
from recipes.options import model_options, natural_images_table, run_options
from recipes.section import Piece, Section
from recipes.sections import register

# Largest side of a cell of a picture in pixels; number of channels listed for a position.
MAX_SIDE, STRONGEST = 112, 4


class Atlas(Table):
    """What a layer represents: over one photograph (grid, groups, dictionary), or over all images (a map)."""

    layer: str
    image: str | None = None
    steps: int = Field(64, ge=1)
    side: int = Field(8, ge=2)
    groups: int = Field(4, ge=1)
    layout: str = "tsne"


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of all atlases, one each.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        iterator of `Job`.

    Raises:
        Refused: for an unknown layer or layout, a layer without rows and columns, and an unreadable image.
    """
    for number, atlas in enumerate(recipe.atlas):
        _check(atlas, session)
        rows, columns = session.network.shapes[atlas.layer][1:3]
        cells = rows * columns + atlas.groups if atlas.image else atlas.side**2
        kind = "blocks" if atlas.image else "atlas"
        reads = ("model", f"image:{atlas.image}" if atlas.image else "natural images")
        arguments = {"atlas": atlas.model_dump(), "seed": recipe.seed}
        yield Job(f"atlas/{number}", kind, arguments, passes=cells * atlas.steps, reads=reads)


def _check(atlas, session):
    """Raise Refused where an atlas does not fit to the network, or its image cannot be read."""
    from lab.images import read
    from lab.visualization.atlas import layouts
    from lab.visualization.canvas import canvas

    network = session.network
    canvas(network)
    if atlas.layer not in network.shapes:
        raise Refused(f"Unknown layer. Received: {atlas.layer!r}. {nearest(atlas.layer, network.shapes)}")
    network.check_positions(atlas.layer, axes=2)
    layouts.get(atlas.layout)
    if atlas.image:
        read(atlas.image, channels=session.channels)


# Work ---------------------------------------------------------------------------------------------------------------------


def draw_blocks(job, _, session):
    """Draw a picture at every position of one photograph, groups of neurons, and each position's strongest channels.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    from lab.images import read
    from lab.visualization import atlas as activations
    from recipes.galleries import png, square
    from recipes.store import encode, pack

    atlas, network = Atlas(**job.arguments["atlas"]), session.network
    image = read(atlas.image, channels=session.channels)
    inputs = network.preprocess(image, fit="crop")
    seed = job.arguments["seed"]
    cells = activations.grid(network, inputs, atlas.layer, seed=seed, steps=atlas.steps)
    groups = activations.groups(network, inputs, atlas.layer, atlas.groups, seed=seed)
    pictures = activations.draw_vectors(network, groups.directions, atlas.layer, seed=seed, steps=atlas.steps)
    channels, shares = activations.dictionary(network, inputs, atlas.layer, STRONGEST)
    about = {"layer": atlas.layer, "image": atlas.image, "rows": len(cells), "columns": cells.shape[1]}
    files = {f"group-{place}.png": png(image) for place, image in enumerate(pictures.images)}
    files |= {f"where-{place}.png": png(_activity(groups.shares[0, ..., place])) for place in range(atlas.groups)}
    files |= {"grid.png": png(_join(cells)), "image.png": png(_resize(square(image), 224))}
    arrays = {"channels": channels, "shares": shares, "groups": groups.directions, "where": groups.shares[0]}
    return {"atlas.npz": pack(arrays), "about.json": encode(about), **files}


def lay_out_atlas(job, _, session):
    """Draw a map of what a layer represents over all images.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.

    Raises:
        Refused: where no cell of the atlas has two images.
    """
    import numpy as np

    from lab.visualization import atlas as activations
    from recipes.galleries import png
    from recipes.store import encode, pack

    atlas, network, seed = Atlas(**job.arguments["atlas"]), session.network, job.arguments["seed"]
    cell_map = activations.atlas(
        network, session.natural_images, atlas.layer, seed=seed, layout=atlas.layout, side=atlas.side
    )
    if not len(cell_map.cells):
        raise Refused(
            f"An atlas needs a cell with at least two images. Received: {len(session.natural_images)} images on {atlas.side} x {atlas.side} cells; reduce side."
        )
    pictures = activations.draw_vectors(network, cell_map.vectors, atlas.layer, seed=seed, steps=atlas.steps)
    cells = np.full((atlas.side, atlas.side, *pictures.images.shape[1:]), 0.5, "float32")
    for (row, column), image in zip(cell_map.cells, pictures.images):
        cells[row, column] = image
    about = {
        "layer": atlas.layer,
        "image": None,
        "rows": atlas.side,
        "columns": atlas.side,
        "images": len(session.natural_images),
    }
    arrays = {name: getattr(cell_map, name) for name in ("cells", "counts", "vectors", "places")}
    return {"atlas.npz": pack(arrays), "about.json": encode(about), "grid.png": png(_join(cells))}


def _join(cells):
    """Pictures [rows, columns, r, c, channels] in 0..1 as one, at most MAX_SIDE pixels a cell side and 896 in all."""
    import numpy as np

    side = min(MAX_SIDE, cells.shape[2], 896 // max(cells.shape[:2]))
    small = np.stack([np.stack([_resize(cell, side) for cell in row]) for row in cells])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in small], axis=0)


def _activity(plane):
    """Where a group is active, from dark to bright: float [224, 224, 1]."""
    from skimage.transform import resize

    return resize(plane / max(float(plane.max()), 1e-12), (224, 224), order=1)[..., None]


def _resize(image, side):
    """An image, uint8 or float in 0..1, at another size: float [side, side, channels] in 0..1."""
    from skimage.transform import resize

    image = image / 255.0 if image.dtype == "uint8" else image
    return resize(image, (side, side), anti_aliasing=True)


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_atlases(recipe, jobs, store):
    """All atlases, or None."""
    atlases = [_show_atlas(store, job) for job in jobs if job.kind in ("blocks", "atlas")]
    return {"atlases": atlases} if atlases else None


def _show_atlas(store, job):
    """One atlas: its picture, and for a photograph its groups of neurons and the channels at each position: dict."""
    from recipes.report.data_uri import file_uri

    about, arrays = store.values(job.key, "about.json"), store.arrays(job.key, "atlas.npz")
    folder = store.folder(job.key)
    atlas = {**about, "grid": file_uri(folder / "grid.png"), "photo": None, "groups": [], "channels": []}
    if about["image"] is None:
        return atlas
    atlas["photo"] = file_uri(folder / "image.png")
    atlas["groups"] = [
        {name: file_uri(folder / f"{name}-{place}.png") for name in ("group", "where")}
        for place in range(len(arrays["groups"]))
    ]
    atlas["channels"] = [[[int(channel) for channel in cell] for cell in row] for row in arrays["channels"]]
    return atlas


# Command -----------------------------------------------------------------------------------------------------------------


@click.command(
    "atlas",
    cls=PlainCommand,
    headings={"Images": ("image",), "Layout": ("side", "groups", "layout")},
    examples=(
        (
            "lab atlas --layer conv2 --image photo.jpg --steps 8 --model my.keras --input-range -1 1",
            "over one photograph",
        ),
        (
            "lab atlas --layer conv2 --side 4 --steps 8 --model my.keras --input-range -1 1",
            "over the photographs that come with the lab",
        ),
        (
            "lab atlas --layer conv1 --image photo.jpg --groups 2 --steps 8 --model my.keras --input-range -1 1",
            "two groups of neurons",
        ),
    ),
)
@model_options
@run_options
@click.option("--layer", required=True, help="Path of a layer with rows and columns (`lab list layers`).")
@click.option(
    "--image", type=click.Path(), help="One photograph: draw a picture of every position, and groups of neurons."
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Folder: draw a map of the layer over all images in it; or a file. May be repeated.",
)
@click.option(
    "--steps", type=click.IntRange(1), default=64, show_default=True, help="Optimization steps of each picture."
)
@click.option(
    "--side", type=click.IntRange(2), default=8, show_default=True, help="Number of cells along each side of the map."
)
@click.option(
    "--groups",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Number of groups of neurons in a photograph.",
)
@click.option("--layout", default="tsne", show_default=True, help="tsne, or umap (an extra).")
@click.pass_context
def command(context, layer, image, images, steps, side, groups, layout, **shared_options):
    """Draw what a layer represents, over one photograph or over many images.

    Without --image and --images, the images are photographs of the installed packages.
    """
    if image and images:
        raise click.UsageError("Give either --image or --images. Received: both.")
    if image and pathlib.Path(image).is_dir():
        raise click.UsageError(f"--image is one photograph. Received: the folder {image!r}. Give --images {image}.")
    atlas_table = {"layer": layer, "image": image, "steps": steps, "side": side, "groups": groups, "layout": layout}
    launch_tables(context, "atlas", shared_options, {"atlas": [atlas_table], "images": natural_images_table(images)})


register(
    Section(
        name="atlas",
        table=Atlas,
        list_jobs=list_jobs,
        work={"blocks": draw_blocks, "atlas": lay_out_atlas},
        place=40,
        pieces=(Piece("atlas", "What layers represent", "atlas.html", _show_atlases, place=50),),
    )
)
