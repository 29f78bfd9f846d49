"""Atlases: what a layer represents over one photograph or over many, as the page shows it."""

from recipes.report.data_uri import file_uri


def collect_atlas(store, job):
    """One atlas: its picture, and for a photograph its groups of neurons and the channels at each position.

    Args:
        store: `Store` of the run.
        job: `Job` of kind "blocks" or "atlas" that is done.

    Returns:
        dict of the job's about.json with grid, photo, groups and channels; pictures are file URIs.
    """
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
