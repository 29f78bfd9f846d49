"""Planted networks: the work of `lab plant`: networks trained on one of two cues, and what swaps show of each."""

import numpy as np

from lab.images import to_viewable
from recipes.sections.planted import SHOWN
from recipes.store import encode, pack
from sanity.cue_networks import SWAPPED, uses
from sanity.world_networks import logits_of_networks

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
    samples, factors = world.draw(SWAPPED, session.sources.seed)
    pair = (world, world.rival)
    networks = [row for kind in CUES for row in _network_rows(session, pair, factors, kind, question["replicates"])]
    about = {
        "cues": [task.name for task in pair],
        "words": f"Networks: {world.part.scope}. Held out: crops of {session.planted_scene.sources} pictures that no network was trained on.",
        "sentence": _sentence(prepared.gates, world, len(networks) // 2),
        "gates": [vars(gate) for gate in prepared.gates],
        "columns": list(networks[0]["swaps"]),
        "networks": networks,
        "measured": len(samples),
        "matched": _matched(session.planted_scene, factors),
    }
    masks = np.stack([task.render(_first(factors, SHOWN)).masks for task in pair])
    images = [to_viewable(np.clip(image, 0, 255)) for image in session.network.deprocess(samples.inputs[:SHOWN])]
    arrays = {"images": _enlarge(np.stack(images)), "masks": _enlarge((255 * masks[..., None]).astype("uint8"))}
    return {"planted.json": encode(about), "samples.npz": pack(arrays)}


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
                "stays: other cue": proof[f"unchanged/{other.name}"],
                "stays: places": proof["unchanged/places"],
                "stays: picture": proof["unchanged/picture"],
                "stays: how cues are drawn": proof.get("unchanged/draws"),
            },
        }
        for index, proof in enumerate(uses(task, factors, session.network, states))
    ]


def _matched(scene, factors):
    """Pixels and contrast of both cues, means over samples: list of dict."""
    means = scene.measure(factors).mean(axis=0)
    return [{"cue": name, "pixels": pixels, "contrast": change} for name, (pixels, change) in zip(scene.names, means)]


def _sentence(gates, world, count):
    """What the gates say together: str."""
    names = f"{world.name} and {world.rival.name}"
    failed = [gate for gate in gates if gate.status != "passed"]
    if failed:
        return f"INVALID: {failed[0].name}: {failed[0].words}."
    return f"{count} networks use {world.name} and {count} use {world.rival.name}, as swaps show. Ask which methods find {names}: lab check --planted."
