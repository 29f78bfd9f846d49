"""Planted networks: the work of `lab plant`: networks trained on one of two cues, and what swaps show of each."""

import numpy as np

from lab.images import to_viewable
from lab.kinds import IMAGE, kind_of
from lab.nouns import plural
from recipes.explanations import describe_kind
from recipes.sections.planted import SHOWN
from recipes.store import encode, pack
from sanity.cue_networks import SWAPPED, uses
from sanity.world_networks import logits_of_networks

# What a swap of a factor shows, where the name of the factor does not say it.
SWAPS = {"draws": "how cues are drawn"}
# Pictures are shown with so many rows at the least.
SIDE = 96
# Which cue a network of a kind has learned.
CUES = {"replicate": 0, "rival": 1}


def train_network(job, _, session):
    """Train one network, or load it from the cache.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    state = session.world_networks.train(job.arguments["kind"], job.arguments["index"])
    return {"network.json": encode(job.arguments), "weights.npz": pack(state)}


def prove_use(job, _, session):
    """Measure what every network has learned and uses, and whether the check of truth can ask them.

    Args:
        job: `Job`.
        _: the inputs, not used: the session finds the networks in its cache, or in the planted folder.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    question, world = job.arguments["question"], session.world
    prepared = session.prepare_check("truth", question, {}, job.arguments["seed"])["prepared"]
    scene, (_, factors) = session.planted_scene, world.draw(SWAPPED, session.sources.seed)
    pair = (world, world.rival)
    networks = [row for kind in CUES for row in _network_rows(session, pair, factors, kind, question["replicates"])]
    first_samples = [task.render(_first(factors, SHOWN)) for task in pair]
    match = scene.pair.match(scene.lay_all(factors))
    about = {
        "cues": [task.name for task in pair],
        "noun": scene.noun,
        "nouns": plural(scene.noun),
        "words": f"Networks: {world.part.scope}. Held out: {_held_out(scene)} that no network was trained on.",
        "sentence": _sentence(prepared.gates, world, len(networks) // 2),
        "gates": [vars(gate) for gate in prepared.gates],
        "swaps": list(networks[0]["swaps"]),
        "networks": networks,
        "heading": match["heading"],
        "matched": match["rows"],
        "kind": "image",
        "columns": [],
        "tokens": None,
        **_described(session, first_samples[0]),
    }
    return {"planted.json": encode(about), "samples.npz": pack(_shown_arrays(session.network, first_samples))}


def _held_out(scene):
    """How many inputs no network was trained on, in words: str."""
    return f"{'crops of ' if scene.is_cropped else ''}{scene.sources} {plural(scene.noun)}"


def _described(session, samples):
    """The kind of samples that are no pictures, names of their columns, and their tokens as words: dict."""
    described = describe_kind(session, samples)
    return {
        "tokens" if name == "words" else name: described[name]
        for name in ("kind", "columns", "words")
        if name in described
    }


def _shown_arrays(network, first_samples):
    """Samples that the page shows, and where both cues lie: dict of arrays."""
    inputs, masks = first_samples[0].inputs, np.stack([samples.masks for samples in first_samples])
    if kind_of(inputs) is not IMAGE:
        return {"inputs": inputs, "masks": masks, "labels": np.stack([samples.labels for samples in first_samples])}
    images = [to_viewable(np.clip(image, 0, 255)) for image in network.deprocess(inputs)]
    return {"images": _enlarge(np.stack(images)), "masks": _enlarge((255 * masks[..., None]).astype("uint8"))}


def _enlarge(pictures):
    """Pictures [..., rows, columns, channels] of at least `SIDE` rows, each pixel as a square."""
    times = -(-SIDE // pictures.shape[-3])
    return pictures.repeat(times, axis=-3).repeat(times, axis=-2)


def _first(factors, count):
    return {name: values[:count] for name, values in factors.items()}


def _network_rows(session, pair, factors, kind, count):
    """What the networks of one kind have learned: list of dict of name, cue, right and swaps."""
    place = CUES[kind]
    task, other = pair[place], pair[1 - place]
    states = [session.world_networks.train(kind, index) for index in range(count)]
    samples = task.render(factors)
    answers = logits_of_networks(session.network, states, samples.inputs, task.part).argmax(axis=2)
    return [
        {
            "name": f"{'AB'[place]}{index + 1}",
            "cue": task.name,
            "right": float(np.mean(answers[index] == samples.cue_labels)),
            "swaps": {
                "follows its cue": proof["cue_flip_rate"],
                "stays: other cue": proof.get(f"unchanged/{other.name}"),
                "moves: other cue": proof.get(f"relative_shift/{other.name}"),
                **{
                    f"stays: {SWAPS.get(name, name)}": proof.get(f"unchanged/{name}")
                    for name in session.planted_scene.distractors
                },
            },
        }
        for index, proof in enumerate(uses(task, factors, session.network, states))
    ]


def _sentence(gates, world, count):
    """What the gates say together: str."""
    names = f"{world.name} and {world.rival.name}"
    failed = [gate for gate in gates if gate.status != "passed"]
    if failed:
        return f"INVALID: {failed[0].name}: {failed[0].words}. A larger --size or --contrast, where a cue has one, more --pictures or more --passes help."
    return f"{count} networks use {world.name} and {count} use {world.rival.name}, as swaps show. Ask which methods find {names}: lab check --planted."
