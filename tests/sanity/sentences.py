"""Sentences: what the rules can say, found by judging simulated evidence of many effects, spreads and sizes.

verdicts_of(check) -> [Verdict]      of every finding, and of conditions that fail; nothing is trained
"""

import numpy as np

from sanity import gates
from sanity.audit import margin
from sanity.checks import atom_effect, checks, claim_of, decodable, harm, proxy_use, unlikeness
from sanity.checks.attention_order import ORACLE
from sanity.checks.attention_use import DECIDING, MOVED, OTHER
from sanity.checks.classes import MAGNITUDE
from sanity.checks.faithfulness import USUAL
from sanity.crossing import maps_differ
from sanity.effects import EFFECTS
from sanity.evidence import Evidence, Gate
from sanity.pictures.crossing import OF_UNITS
from sanity.pictures.units import by_unit
from sanity.ruling import MEASURE, SIGNED
from sanity.verdict import judge

DRAWS = 60
LEVELS = np.array([-0.5, 0, 0.02, 0.08, 0.2, 0.4, 0.6, 0.75, 0.85, 0.95, 1.0])
SIZES = {"images": 8, "pairs": 8, "replicates": 4, "networks": 4, "rivals": 4, "draws": 3, "repeats": 6, "ways": 8}
SIZES |= {"groups": 2, "directions": 16}
OF_AUDITS = {"rows": 800, "units": 800, "samples": 800, "groups": 400, "classes": 2}
# The clauses of a check of an audit.
WHY = dict.fromkeys(
    (margin.BEYOND, margin.UNCERTAIN, margin.WITHIN, margin.NONE, margin.TOO_FEW),
    "of 40 groups of rows searched, one stands out",
)
# Those of checks that compare current rows with a reference.
WHY |= {
    harm.ROSE: "errors are 0.101 in the reference and 0.162 now, a rise that chance does not give",
    harm.NO_RISE: "errors are 0.101 in the reference and 0.105 now, and a rise by more than 0.02 is ruled out",
    harm.UNKNOWN: "0 units of the current data are labelled, and 100 are needed; if labels still mean the same, errors change by 0.01",
    unlikeness.UNLIKE: "12 of 300 current rows lie farther from the reference than held-out rows do, by their features",
    unlikeness.NONE: "1 of 300 current rows lie farther from the reference than all held-out rows, by their features, too few to be told from chance",
}
WHY |= dict.fromkeys(
    (decodable.ENCODED, decodable.NOT_DECODABLE),
    "The layer tells sex = female better than income would. Whether it is used is another question",
)
WHY |= dict.fromkeys(
    (proxy_use.USED, proxy_use.UNUSED, proxy_use.DEPENDS),
    "Swapping district between groups of sex = female turns more than 2% of decisions",
)
OF_PICTURES = {"units": 6, "pictures": 3, "sources": 40, "networks": 3}


class Draw:
    """Numbers of one simulated method, around levels and of a spread that are drawn."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.images = int(self.rng.choice([4, 8, 24]))
        self.networks = int(self.rng.choice([3, 4, 5]))
        self.spread = float(self.rng.choice([0.003, 0.03, 0.3]))

    def level(self):
        return self.rng.choice(LEVELS)

    def around(self, level, *shape):
        return level + self.spread * self.rng.standard_normal(shape)

    def pairs(self, level):
        """Similarities among networks [networks, networks, images], the same both ways round."""
        values = self.around(level, self.networks, self.networks, self.images)
        return (values + values.transpose(1, 0, 2)) / 2


def _networks(draw):
    """Two groups of networks, the first of them with or without replicates."""
    samples, replicates = {}, draw.rng.random() < 0.7
    for measure in (MEASURE, SIGNED):
        first = draw.networks if replicates else 1
        samples[f"between/{measure}"] = draw.around(draw.level(), first, draw.networks, draw.images)
        samples[f"random/{measure}"] = draw.pairs(draw.level())
        itself = {f"itself/{measure}": draw.around(draw.level(), 2, draw.images)}
        samples |= {f"ceiling/{measure}": draw.pairs(draw.level())} if replicates else itself
    return samples


def _groups(draw):
    """Two groups of networks, both with replicates."""
    keys = ("between", draw.around(draw.level(), draw.networks, draw.networks, draw.images))
    samples = dict([keys]) | {"random": draw.pairs(draw.level()), "ceiling": draw.pairs(draw.level())}
    return {f"{name}/{MEASURE}": values for name, values in samples.items()}


def _classes(draw):
    samples = {
        f"{name}/{measure}": draw.around(draw.level(), 3 if name == "between" else 1, draw.images)
        for name in ("between", "itself")
        for measure in (MEASURE, SIGNED)
    }
    for effect in EFFECTS if draw.rng.random() < 0.7 else ():
        for form in ("", MAGNITUDE):
            samples[f"oracle between/{effect}{form}"] = draw.around(draw.level(), 1, draw.images)
            samples[f"oracle itself/{effect}{form}"] = draw.around(draw.level(), 1, draw.images)
    return samples | {"negative": np.full((1, draw.images), draw.rng.choice([0.0, 0.5]))}


def _crossed(draw):
    samples = {}
    for name in [f"{kind}/{effect}" for kind in ("maps", "oracle") for effect in EFFECTS]:
        samples[name] = np.zeros((2, 2, draw.images))
        # Maps that are the same for both questions give exactly zero.
        if name.startswith("oracle") or draw.rng.random() < 0.8:
            samples[name][0, 0] = draw.around(draw.level(), draw.images)
    return samples


def _ways(draw):
    """As `_crossed`, with the way as it lies before seven others."""
    crossed = _crossed(draw)
    return {name: np.stack([table[0, 0]] + [np.zeros(draw.images)] * 7) for name, table in crossed.items()}


def _orders(draw):
    oracle = draw.rng.choice([0.3, 8.0, 8.0, 8.0])
    return {
        f"{kind}{number}/{name}": level + draw.rng.standard_normal(draw.images)
        for name in USUAL
        for kind, level in (("", draw.rng.choice([-4.0, 0.0, 1.0, 6.0])), ("oracle ", oracle))
        for number in ("z", "above")
    }


def _counterparts(draw):
    factor = draw.rng.choice([1.0, -1.0, 2.5])
    return {
        "distance/other": np.abs(draw.around(draw.level(), draw.images)),
        "scaled/other": np.abs(draw.around(draw.rng.choice([0.0, 0.02, 0.6]), draw.images)),
        "scale/other": factor * (1 + draw.rng.integers(2) * draw.rng.random(draw.images)),
    }


def _cues(draw):
    rank, oracle = (draw.around(0.2, 2 * draw.networks, 2, draw.images) for _ in range(2))
    for values, level in ((rank, draw.rng.choice([0.02, 0.02, 0.1, 0.6])), (oracle, draw.rng.choice([0.02, 0.8, 0.8]))):
        values[: draw.networks, 0] += level
        values[draw.networks :, 1] += level
    return {"rank": rank * (draw.rng.random() < 0.8), "oracle": oracle}


def _distances(draw):
    levels = (draw.rng.choice([0.0, 0.02, 0.4]) for _ in range(2))
    return {
        f"distance/{name}": np.abs(draw.around(level, draw.images))
        for name, level in zip(("input_shift", "split"), levels)
    }


def _accuracies(draw):
    repeats = int(draw.rng.choice([5, 6, 8]))
    random = draw.around(0.5 + draw.level() / 2, 2, repeats)
    return {
        "accuracy/random": random,
        "accuracy/oracle": random + draw.rng.choice([-0.3, 0.3]),
        "accuracy/map": np.full((2, repeats), 0.5),
        "accuracy/leak": np.full((2, 1), 0.3),
    }


def _attention_changes(draw):
    """A change of the answers under either intervention, beside that between two inputs."""
    level = draw.rng.choice([0.0, 0.0, 0.04, 0.3])
    exact = draw.rng.choice([0, 1, 1])
    changes = {name: exact * np.abs(draw.around(level, draw.images)) for name in DECIDING}
    moved = np.full(draw.images, draw.rng.choice([0.0, 0.5, 0.5]))
    return changes | {OTHER: np.abs(draw.around(0.6, draw.images)), MOVED: moved}


def _attention_orders(draw):
    oracle = draw.rng.choice([0.0, 0.5, 0.5, 0.5])
    pairs = (("", draw.rng.choice([0.0, 0.01, 0.01, 0.4])), (f"{ORACLE} ", oracle))
    samples = {f"{prefix}agreement": draw.around(level, draw.images) for prefix, level in pairs}
    return samples | {f"{prefix}by position": np.zeros(draw.images) for prefix, _ in pairs}


def _atom_changes(draw):
    """Changes of a score without an atom, along the gradient, and along random directions."""
    size, oracle = draw.rng.choice([0.1, 1.0, 4.0]), draw.rng.choice([0.1, 5.0, 5.0, 5.0])
    random = np.abs(draw.around(draw.rng.uniform(0.5, 1.5, (39, 1)), 39, draw.images))
    changes = {atom_effect.CHANGE: draw.around(size, draw.images), atom_effect.RANDOM: random}
    return changes | {atom_effect.ORACLE: np.abs(draw.around(oracle, draw.images))}


def _pairs_of_accuracies(draw):
    repeats = int(draw.rng.choice([5, 6, 8]))
    lost = draw.rng.choice([0.0, 0.05, 0.3])
    alone = {f"only {name}": draw.rng.random(40) * lost for name in ("with attention", "uniform")}
    accuracies = {"attention": draw.around(0.9, repeats), "uniform": draw.around(0.9 - lost, repeats)}
    return accuracies | (alone if draw.rng.random() < 0.5 else {})


def _concept_sensitivities(draw):
    values = draw.around(0.0, 31)
    values[0] += draw.rng.choice([0.0, 3.0, -3.0])
    samples = {"sensitivity": values, "positive": draw.rng.random(31), "accuracy": draw.rng.random(31)}
    untrained = draw.rng.choice([0.5, 9.0], size=int(draw.rng.choice([0, 2])))
    return samples | {
        "by image": draw.around(float(values[0]), draw.images),
        "groups": np.arange(draw.images),
        "untrained": untrained,
        **{name: np.array(draw.rng.random()) for name in ("reach", "stability", "shared t test")},
    }


def _concept_losses(draw):
    loss = draw.around(draw.rng.choice([0.0, 4.0, -4.0]), draw.images)
    samples = {"loss": loss, "gain": -loss, "random": draw.around(0.0, 19, draw.images)}
    return samples | {"groups": np.arange(draw.images)}


def _crossed_units(draw):
    """Shares and leads of six units or more, whose own natural images may tell nothing."""
    units = int(draw.rng.choice([5, 6, 12]))
    shares, leads = (draw.around(draw.rng.choice([-1.0, 0.1, 0.9]), units) for _ in range(2))
    widths = [abs(draw.around(draw.rng.choice([0.0, 0.3]), units)) for _ in range(2)]
    intervals = [np.stack([mean, mean - width, mean + width]) for mean, width in zip((shares, leads), widths)]
    dealt = {name: np.array([0.5, *np.full(99, draw.rng.choice([0.0, 0.0, 0.5]))]) for name in ("null", "known")}
    if draw.rng.random() < 0.2:
        intervals[0][:, 0] = np.nan
    samples = {"decided": intervals[0], "lead": intervals[1], "rival": np.roll(np.arange(units), 1)}
    return samples | dealt | {"units": np.arange(units)}


def _above_zero(name):
    """Numbers of several units that are expected above zero, a handful for each or more."""

    def draw_numbers(draw):
        units, count = int(draw.rng.choice([4, 8])), int(draw.rng.choice([3, 6]))
        return {name: draw.around(draw.level(), units, count), "units": np.arange(units)}

    return draw_numbers


def _looks(draw):
    looks = {f"{kind}/net": draw.rng.random((6, 3)) < draw.rng.choice([0.1, 0.9]) for kind in ("plain", "blurred")}
    return {name: look.astype("float64") for name, look in looks.items()} | {"units": np.arange(6)}


def _probes(draw):
    """Hits of a probe and of what it is compared with, of 24 sources of two classes."""
    shares = draw.rng.choice([0.5, 0.95, 1.0], 4, p=[0.4, 0.3, 0.3])
    labels = np.arange(24) % 2
    tallies = {}
    for name, share in zip(("probe", "control", "random", "inputs"), shares):
        hits = draw.rng.random(24) < share
        tallies[name] = np.stack([np.eye(2)[labels], np.eye(2)[labels] * hits[:, None]]).astype(int)
    exchanged = draw.rng.uniform(0.3, 0.7, 100)
    exchanged[0] = shares[0]
    code = np.array([[0, 12, 12.0, 0.5], [12, 12, 6.0, 0.9]])
    tallies["random"] = tallies["random"][None]
    return {
        **tallies,
        "exchanged": exchanged,
        "code": code,
        "code/random": code,
        "calibration": np.array([0.1, 0, 0.2]),
    }


def _erasures(draw):
    change = np.abs(draw.around(1, 40, draw.images))
    change[0] = draw.rng.choice([0.0, 1.0, 1.2, 4.0]) * change[0]
    scores = np.linspace(-3, 3, draw.images)
    return {"use": change, "use/groups": np.arange(draw.images), "use/scores": scores}


def _of_margin(draw):
    """p, effect and planted copies of a check of an audit."""
    mean, width = draw.rng.choice([0.0, 0.0, 0.1, 0.3]), draw.rng.choice([0.01, 0.15])
    planted = draw.rng.random((3, 20)) < draw.rng.choice([0.3, 1.0])
    p = draw.rng.choice([0.005, 0.4, 0.4])
    return {"p": np.array([p]), "effect": np.array([mean, mean - width, mean + width]), "planted": planted}


def _rise(draw):
    """A rise of errors with planted copies, or an estimate without labels."""
    samples = _of_margin(draw)
    return samples | {"labelled": np.array([draw.rng.choice([0, 1, 1])]), "planted": np.ones((3, 20), bool)}


def _flags(draw):
    return {"flagged": draw.rng.random(40) < draw.rng.choice([0.0, 0.2])}


def _of_proxies(draw):
    """As `_of_margin`, with the p of what the output has of a group."""
    return {**_of_margin(draw), "output p": np.array([draw.rng.choice([0.005, 0.4])])}


def _of_mechanisms(draw):
    """As `_of_proxies`, with the p of other directions, and by how much groups differ after the erasure."""
    left = draw.rng.choice([0.0, 0.3]) + np.array([0, -0.01, 0.01])
    return {**_of_proxies(draw), "direction p": np.array([draw.rng.choice([0.005, 0.4])]), "left": left}


def _leads(draw):
    """How far a network is ahead of simple models in two losses, with bounds."""
    models, width = int(draw.rng.choice([1, 3])), draw.rng.choice([0.002, 0.05])
    mean = draw.rng.choice([0.0, 0.1, -0.1], (models, 2))
    planted = draw.rng.random((3, 20)) < draw.rng.choice([0.3, 1.0])
    effects = np.stack([mean, mean - width, mean + width], axis=2)
    simple = np.array([draw.rng.random() < 0.8])
    return {"effects": effects, "margins": np.array([0.01, 0.02]), "planted": planted, "simple": simple}


def _of_reasons(draw):
    """Shares of one part of the check of reasons, with planted copies."""
    name = draw.rng.choice(["first reason stays", "overlap of references", "skill of codes"])
    mean, width = draw.rng.choice([0.1, 0.6, 0.95]), draw.rng.choice([0.01, 0.01, 0.4])
    planted = draw.rng.random((3, 20)) < draw.rng.choice([0.3, 1.0, 1.0])
    bounds = np.array([mean, mean - width, mean + width])
    numbers = {"ceiling": np.array([1.0, np.nan, np.nan]), "chance": np.array([0.2, np.nan, np.nan])}
    return {str(name): bounds, "behind": bounds - 1, "planted": planted, **numbers}


def _of_factors(draw):
    """Rows that three factors affect and decide, with planted flags."""
    low = draw.rng.choice([0.1, 0.4])
    decisive = np.array([[0.1, 0.05, 0.2], [0.2, 0.1, 0.3], [low + 0.1, low, low + 0.2]])
    planted = draw.rng.random((3, 20)) < draw.rng.choice([0.3, 1.0])
    return {"affected": np.array([300, 200, 30]), "decisive": decisive, "planted": planted}


def _views(draw):
    """How well labels are told from a view, with planted relations that were noticed or not."""
    mean, width = draw.rng.choice([0.5, 0.52, 0.58, 0.8]), draw.rng.choice([0.02, 0.1])
    counts = np.full(9, draw.rng.choice([3, 20]))
    numbers = {"accuracy": np.array([mean, mean - width, mean + width]), "chance": np.array([0.5])}
    constant = np.array([draw.rng.random() < 0.1])
    return {**numbers, "p": np.array([draw.rng.choice([0.005, 0.4])]), "planted": counts, "constant": constant}


def _swaps(draw):
    """What a swap costs on all pictures, and on each of two classes."""
    mean, width = draw.rng.choice([0.0, 0.06, 0.3], 3), draw.rng.choice([0.01, 0.1])
    return {"drops": np.stack([mean, mean - width, mean + width], axis=1), "values": np.zeros(40)}


def _shares(draw):
    mean, width = draw.rng.choice([0.0, 0.06, 0.3]), draw.rng.choice([0.01, 0.1])
    return {"difference": np.array([mean, mean - width, mean + width]), "values": np.zeros(40)}


# What a check measures, by its name: a `Draw` -> samples.
SAMPLES = {
    "atom_effect": _atom_changes,
    "attention_needed": _pairs_of_accuracies,
    "attention_order": _attention_orders,
    "attention_use": _attention_changes,
    "erasure": _concept_losses,
    "tcav": _concept_sensitivities,
    "probe": _probes,
    "probe_use": _erasures,
    "parameters": _networks,
    "path": _crossed_units,
    "predictivity": _crossed_units,
    "prior": _above_zero("excess"),
    "reach": lambda draw: {"ratio": np.ones((6, 3)), "percentile": np.full((6, 3), 99.0), "units": np.arange(6)},
    "recovery": lambda draw: {
        name: np.clip(draw.around(draw.rng.choice([0.3, 0.8]), 4), 0, 1) for name in ("likeness", "attained", "modes")
    },
    "stability": _above_zero("silhouette"),
    "transfer": _looks,
    "labels": _groups,
    "cue": _groups,
    "classes": _classes,
    "class_crossing": _crossed,
    "image_crossing": _crossed,
    "place": _ways,
    "completeness": lambda draw: {
        "gap": np.abs(draw.around(draw.level(), draw.images)),
        "error": np.full(draw.images, draw.rng.choice([0.0, 0.03])),
    },
    "contract": lambda draw: {"broken": np.zeros(1)},
    "derivative": lambda draw: {name: np.abs(draw.around(draw.level(), draw.images)) for name in ("error", "rounding")},
    "entropy": lambda draw: {"increase": draw.around(draw.level() - 0.2, 3, draw.images)},
    "faithfulness": _orders,
    "implementation": _counterparts,
    "invariance": _distances,
    "retraining": _accuracies,
    "sensitivity": lambda draw: {
        f"{name}/{MEASURE}": draw.around(draw.level(), 3, draw.images) for name in ("noise", "seed")
    },
    "truth": _cues,
    "factor_importance": _of_factors,
    "reason_codes": _of_reasons,
    "slices": _of_margin,
    "embedding_slices": _of_margin,
    "calibration": _of_margin,
    "shift": _of_margin,
    "harm": _rise,
    "unlikeness": _flags,
    "group_gaps": _of_margin,
    "decodable": _of_margin,
    "proxy_use": _of_proxies,
    "proxy_mechanism": _of_mechanisms,
    "simpler": _leads,
    "shortcut_labels": _views,
    "shortcut_swaps": _swaps,
    "shortcut_maps": _shares,
}
PROMISES = ("maps are finite", "the same seed gives the same bytes", "an image's map is the same alone as in a batch")


def _settings(draw):
    pairs = (
        [("cat", "dog"), ("dog", "cow")]
        if draw.rng.random() < 0.5
        else [(f"class {k}", f"other {k}") for k in "abcdefgh"]
    )
    broken = list(PROMISES)[: draw.rng.integers(4)]
    settings = {"promised": draw.rng.random() < 0.5, "keep": draw.rng.random() < 0.5, "broken": broken}
    settings |= {"delta": 0.1, "alpha": 0.05, "why": WHY, "needed": 2000, "also": ()}
    few = ["", "", "", "12 groups are needed that can exchange labels, and there are 3"]
    settings |= {"margin": 0.05, "bound": 0.55, "too_few": draw.rng.choice(few), "region": "border", "unseen": 2}
    numbers = dict.fromkeys(("same", "other", "donor", "accuracy", "true", "area", "usable"), 0.9)
    settings |= {"numbers": numbers, "explained_by": "gradient", "class_names": ["cat", "dog"]}
    return settings | {"class_pairs": list(np.resize(pairs, (draw.images, 2)).tolist()), "untold": ["input_shift"]}


def _conditions():
    """Conditions that fail: list of `Gate`."""
    flat = {effect: np.ones((1, 4, 9)) for effect in EFFECTS}
    return [
        gates.usable_maps([None] * 4),
        gates.enough_networks("replicates", [1], 3),
        gates.proven_use({"cue_flip_rate": 0.5, "unchanged/size": 0.6}),
        maps_differ(flat),
        Gate("method ran", "fault", "RuntimeError: no room"),
    ]


def evidence_of(check, seed):
    """Simulated evidence of a check about one method, or about all units: `Evidence`."""
    draw = Draw(seed)
    sizes = {
        **SIZES,
        **(OF_PICTURES if check in checks and claim_of(check) == "pictures" else {}),
        **(OF_AUDITS if check in checks and claim_of(check) == "data" else {}),
        "images": draw.images,
    }
    return Evidence(check, "any", "net", sizes, SAMPLES[check](draw), (), settings=_settings(draw))


def _rows(evidence):
    """Evidence about all units as a check gives it, with that about each: list of `Evidence`."""
    axes = {**OF_UNITS, "silhouette": 0, "excess": 0, "ratio": 0, "percentile": 0, "plain/net": 0, "blurred/net": 0}
    return by_unit(evidence, axes) if "units" in evidence.samples else [evidence]


def verdicts_of(check, draws=DRAWS):
    """Verdicts on simulated evidence of a check, one at a time and two together: list of `Verdict`."""
    alone = [evidence_of(check, seed) for seed in range(draws)]
    verdicts = [verdict for evidence in alone for verdict in judge(_rows(evidence))]
    if check == "faithfulness":  # How well images agree is measured on two methods at least.
        eights = [evidence for evidence in alone if evidence.sizes["images"] == 24]
        verdicts += [verdict for pair in zip(eights, eights[1:]) for verdict in judge(list(pair))]
    return verdicts + [judge([Evidence(check, "any", "net", {}, {}, (gate,))])[0] for gate in _conditions()]
