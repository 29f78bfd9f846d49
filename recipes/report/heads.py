"""Heads: the attention of a run as the page shows it, every head of every input as a small picture of its weights."""

import numpy as np

from lab.thumbnails import uri

# Tokens of the longest input whose heads are drawn: 16 rows of 16 patches, and 16 beside them. Those of longer ones stay in
# jobs/attention.
LONGEST = 272
# Inputs whose heads are drawn.
SHOWN = 4


def collect_heads(store, means, unused=frozenset()):
    """All values that the page shows of attention.

    Args:
        store: `Store` of the run.
        means: dict of (address, head) to the means of its numbers, as of `recipes.sections.attention.head_means`.
        unused: the (address, head) that a check of this run calls unused.

    Returns:
        dict.
    """
    about = store.values("attention", "about.json")
    layers = [
        {
            **layer,
            "numbers": [
                {**means[place], "unused": place in unused}
                for place in ((layer["address"], head) for head in range(layer["heads"]))
            ],
        }
        for layer in about["layers"]
    ]
    weights = [store.arrays("attention", f"weights-{number}.npz")["weights"] for number in range(len(layers))]
    images = store.arrays("attention", "photographs.npz")["images"] if "kind" not in about else None
    inputs = [
        {
            "name": name,
            "image": None if images is None else uri(images[place]),
            "layers": [
                _draw_layer(about, place, layer["address"], plane[place]) for layer, plane in zip(layers, weights)
            ],
        }
        for place, name in enumerate(about["names"][:SHOWN])
    ]
    return {
        "inputs": inputs,
        "more": len(about["names"]) - len(inputs),
        "layers": layers,
        "target": about["target"],
        "longest": LONGEST,
    }


def _draw_layer(about, place, address, weights):
    """The heads of a layer for one input: what its queries and keys are, and a picture of each head: dict."""
    queries, keys = (_positions(about, place, count) for count in weights.shape[1:])
    kept = weights[:, queries["kept"]][:, :, keys["kept"]]
    long = max(kept.shape[1:]) > LONGEST
    return {
        "address": address,
        "query_names": queries["names"],
        "key_names": keys["names"],
        "grid": about["grids"].get(str(weights.shape[2])),
        "pictures": [None if long else _plane(head) for head in kept],
    }


def _positions(about, place, count):
    """The positions of an input that attention runs over, without padding: their indices and their names."""
    words = (about.get("words") or {}) and about["words"][place]
    if words and len(words) == count:
        kept = [row for row, word in enumerate(words) if word]
        return {"kept": kept, "names": [words[row] for row in kept]}
    grid = about["grids"].get(str(count))
    names = [str(row) for row in range(count)] if grid is None else _patch_names(count, *grid)
    return {"kept": list(range(count)), "names": names}


def _patch_names(count, first, rows, columns, columns_first):
    """The names of tokens of which some hold patches: list of str."""
    names = [f"token {place}" for place in range(count)]
    for place in range(rows * columns):
        row, column = (place % rows, place // rows) if columns_first else divmod(place, columns)
        names[first + place] = f"row {row + 1}, column {column + 1}"
    if first == 1:
        names[0] = "class token"
    return names


def _plane(weights):
    """Weights [queries, keys] as a grey PNG whose brightness is the square root of the weight, in 256 steps: str."""
    return uri(np.round(255 * np.sqrt(np.clip(weights, 0, 1))).astype("uint8"))
