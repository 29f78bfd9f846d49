"""Probe: does a layer hold a label, more than labels without a meaning, untrained networks and the inputs would show?

Control tasks by Hewitt, Liang 2019, https://arxiv.org/abs/1909.03368; description length by Voita, Titov 2020,
https://arxiv.org/abs/2003.12298.
"""

import numpy as np

from lab.concepts import default_layers, pooled
from lab.concepts.activations import refuse_layers
from lab.environment import tf
from lab.kinds import kind_of
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.probes.baselines import input_features
from sanity.probes.control_tasks import input_types
from sanity.probes.encoding import EXCHANGES, balanced_accuracies, fit_and_tally, measure_layer
from sanity.probes.label_sets import label_set
from sanity.probes.use import measure_use
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval, exchange_p
from sanity.untrained import untrained_weights

# Untrained networks that are compared with.
NETWORKS = 3
# The row of a check that was not given any labels.
ALL = "all layers"
ENCODED = "ENCODED"


@checks.register(claim="concepts", table="probe")
def probe(subject, *, seed, layers=(), labels=None, groups=None, networks=NETWORKS, exchanges=EXCHANGES, erasures=0):
    """Does a layer hold a label, more than a control task, untrained networks and the inputs themselves show?

    Args:
        subject: the `Subject`.
        seed: int.
        layers: addresses of layers; empty: `lab.concepts.default_layers`.
        labels: dict of name to one label an input; None: the labels of the subject.
        groups: the source of each input, whose inputs stay on one side of every split; None: each is its own.
        networks: int, untrained networks.
        exchanges: int, how often labels are exchanged between groups.
        erasures: int, random ones that an erasure of the labels is compared with; 0: the use is not asked about.

    Returns:
        list of `Evidence`, one a layer and label set, with the samples of `sanity.probes.encoding.measure_layer`, and those of
            `sanity.probes.use.measure_use`.

    Raises:
        Refused: for an unknown layer, and for labels that cannot be told apart.
    """
    if labels is None and subject.labels is None:
        gate = Gate("labels are known", "not applicable", "no labels; give a column or folders of them")
        return [Evidence("probe", ALL, subject.network.name, {"images": len(subject.names)}, {}, (gate,))]
    layers = list(layers) or default_layers(subject.network)
    refuse_layers(subject.network, layers)
    sources = range(len(subject.names)) if groups is None else groups
    labels = {"label": [str(label) for label in subject.labels]} if labels is None else labels
    label_sets = [label_set(name, column, sources) for name, column in labels.items()]
    options = {"seed": seed, "exchanges": exchanges, "erasures": erasures}
    values = _read(subject, layers, networks, seed)
    return [record for labelled in label_sets for record in _measure(subject, labelled, *values, **options)]


def _read(subject, layers, networks, seed):
    """Activations of the network and of untrained ones, and the inputs as numbers."""
    network, inputs = subject.network, subject.inputs
    random = [_values_untrained(network, inputs, layers, place, seed) for place in range(networks)]
    return pooled(network, inputs, layers), random, input_features(inputs)


def _measure(subject, labelled, values, random, features, *, seed, exchanges, erasures):
    """Evidence of every layer about one label set: list of `Evidence`."""
    kept, types = labelled.rows, input_types(features, seed=derive_seed(seed, "types"))
    tally, _ = fit_and_tally(features[kept], labelled, seed)
    inputs, goal = tf.nest.map_structure(lambda leaf: leaf[kept], subject.inputs), subject.objective.rows(kept.tolist())
    settings = {"seed": seed, "networks": len(random), "exchanges": exchanges, **describe_kind(subject.inputs)}
    records = []
    for layer, rows in values.items():
        random_rows = [network_values[layer][kept] for network_values in random]
        options = {"seed": seed, "exchanges": exchanges}
        samples = measure_layer(rows[kept], random_rows, tally, types[kept], labelled, **options)
        if erasures:
            options = {"seed": seed, "erasures": erasures}
            samples |= measure_use(subject.network, inputs, goal, layer, rows[kept], labelled, **options)
        records.append(probe_evidence(subject.network.name, layer, labelled, samples, settings))
    return records


def _values_untrained(network, inputs, layers, place, seed):
    with network.weights(untrained_weights(network, inputs, place, seed=seed)):
        return pooled(network, inputs, layers)


def describe_kind(inputs):
    """The kind of inputs, for the words of a verdict: dict, empty for a network of several inputs.

    Args:
        inputs: arrays that a network takes.

    Returns:
        dict.
    """
    leaves = tf.nest.flatten(inputs)
    return {"kind": kind_of(np.asarray(leaves[0])).name} if len(leaves) == 1 else {}


def probe_evidence(network, layer, labelled, samples, settings):
    """What was measured of one layer and label set.

    Args:
        network: str, the name of the network.
        layer: str, the address.
        labelled: `sanity.probes.label_sets.LabelSet`.
        samples: dict of name to array.
        settings: dict, settings of the check.

    Returns:
        `Evidence`.
    """
    sizes = {"images": int(labelled.groups.max()) + 1, "rows": len(labelled.labels), "networks": len(samples["random"])}
    about = {"label": labelled.name, "layer": layer, "classes": list(labelled.classes)}
    gate = _probabilities_gate(samples)
    return Evidence(
        "probe", f"{labelled.name} in {layer}", network, sizes, samples, (gate,), settings={**settings, **about}
    )


def _probabilities_gate(samples):
    """The activations differ between inputs, or nothing could be told from them."""
    spread = float(np.std(samples["exchanged"]))
    words = f"accuracies over exchanged labels vary by {spread:.3f}"
    return Gate("activations differ", "passed" if spread > 0 else "failed", words)


def compare(evidence, seed):
    """Balanced accuracies of the probe and of what it is compared with, and the differences, with intervals over groups.

    Args:
        evidence: `Evidence` of this check.
        seed: int, of the bootstrap.

    Returns:
        dict of name to `Interval`: probe, control, random (the best of the untrained networks), inputs, selectivity, lead over
            random, lead over inputs.
    """
    draws = {
        name: balanced_accuracies(evidence.samples[name], seed=seed)
        for name in ("probe", "control", "random", "inputs")
    }
    draws["random"] = draws["random"].max(axis=1)
    differences = {"selectivity": "control", "lead over random": "random", "lead over inputs": "inputs"}
    draws |= {name: draws["probe"] - draws[other] for name, other in differences.items()}
    return {name: _interval(values) for name, values in draws.items()}


def _interval(draws):
    low, high = np.quantile(draws[1:], [0.025, 0.975])
    return Interval(float(draws[0]), float(low), float(high))


@rules.register(
    name="probe",
    about=About(
        "The label is encoded",
        "probe",
        {
            ENCODED: "the label is told from this layer, and less so from what it is compared with",
            "NOT SHOWN": "the label is not told from this layer more often than chance allows",
            "NOT SELECTIVE": "the probe learns labels without a meaning as well, so that its accuracy says nothing",
            "NO BETTER THAN BASELINES": "an untrained network, or the inputs alone, tell the label as well",
            "UNDECIDED": "{why}",
        },
        number="balanced accuracy",
        similarity="balanced accuracy of a probe by cross-validation over groups",
        ceiling="untrained networks or inputs, the better",
        null="control task",
        cannot="Cannot conclude: that the network uses the label, or anything about other networks, labels or data. What is not shown may be held in another form.",
        better="higher",
    ),
)
def judge_probe(family, margins, seed):
    """Encoded where the lower bounds of selectivity and of both leads are above zero, and p is small.

    A difference whose whole interval lies below the margin of equivalence counts as none, whatever its lower bound. Labels are exchanged between groups, max-T over all layers and label sets.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    p_values = exchange_p(np.stack([evidence.samples["exchanged"] for evidence in family]))
    return [_ruling(evidence, float(p), margins, seed) for evidence, p in zip(family, p_values)]


def _ruling(evidence, p, margins, seed):
    numbers = compare(evidence, seed)
    outcome, finding, why = _decide(numbers, p, margins)
    baseline = max((numbers["random"], numbers["inputs"]), key=lambda interval: interval.mean)
    remedy = "Give more inputs, from more sources." if outcome == "INCONCLUSIVE" else ""
    effect, control = numbers["probe"], numbers["control"]
    return Ruling(outcome, finding, effect, baseline, control, p, why, _other_numbers(evidence, numbers), remedy)


def _decide(numbers, p, margins):
    """Outcome, finding and why."""
    leads = {name: numbers[f"lead over {name}"] for name in ("random", "inputs")}
    if p > margins.alpha:
        return "INCONCLUSIVE", "NOT SHOWN", f"exchanged labels are told as well, p = {p:.2g}"
    # Of thousands of inputs a lower bound is soon above zero, by a difference of nothing.
    if not numbers["selectivity"].low > 0 or numbers["selectivity"].high < margins.equal:
        return "INVALID", "NOT SELECTIVE", f"selectivity is {numbers['selectivity']}"
    words = {"random": "untrained networks", "inputs": "the inputs"}
    for name, lead in leads.items():
        if lead.high < margins.equal:
            return "FAIL", "NO BETTER THAN BASELINES", f"the lead over {words[name]} is {lead}"
    for name, lead in leads.items():
        if not lead.low > 0:
            return "INCONCLUSIVE", "UNDECIDED", f"it is open whether {words[name]} tell the label as well"
    return "PASS", ENCODED, f"selectivity {numbers['selectivity']}, and both leads are above zero"


def _other_numbers(evidence, numbers):
    """Selectivity, leads, compression and calibration: tuple of (name, text)."""
    error, _, expected = evidence.samples["calibration"]
    trained, random = (compression(evidence, name) for name in ("code", "code/random"))
    return (
        *((name, str(numbers[name])) for name in ("selectivity", "lead over random", "lead over inputs")),
        ("compression", f"{trained:.2f}, of an untrained network {random:.2f}"),
        ("calibration error", f"{error:.3f}, to be expected up to {expected:.3f}"),
    )


def compression(evidence, name="code"):
    """How many times shorter the online code of the labels is than a uniform one: float.

    Args:
        evidence: `Evidence` of this check.
        name: "code", or "code/random" of an untrained network.

    Returns:
        float.
    """
    _, rows, bits, _ = evidence.samples[name].T
    return float(rows.sum() * np.log2(len(evidence.settings.get("classes", "ab"))) / max(bits.sum(), 1e-300))
