"""Use: do the answers of a network change when the attention of a head is permuted, or made uniform?

Jain, Wallace 2019, https://arxiv.org/abs/1902.10186; one head at a time as in Michel, Levy, Neubig 2019,
https://arxiv.org/abs/1905.10650. The change is compared with that between answers to two inputs.
"""

import numpy as np

from lab import routines
from lab.attention import distance_from_uniform, knocked_out, outputs_under, permuted, select, uniform
from lab.environment import tf
from lab.refusal import Refused
from sanity.checks import checks
from sanity.controls import families
from sanity.evidence import Gate
from sanity.heads import ATTENTION, attention_gate, head_evidence, selections
from sanity.ruling import About, Ruling, images_remedy, rules
from sanity.seeds import derive_seed
from sanity.statistics import bootstrap_interval, number_groups, sign_flips, without_interval

DRAWS = 100
# What decides. Without a head's product the answers may change although its weights do not matter.
DECIDING = ("permuted", "uniform")
SILENT, OTHER = "head of zero values", "another input"
# How far the weights of a head are from uniform ones, by which they can be moved at all.
MOVED = "distance from uniform"


@checks.register(claim="attention")
def attention_use(subject, *, seed, draws=DRAWS, layers=(), groups=None):
    """Do the answers change when the attention of a head is permuted or made uniform?

    The change is the total variation between probabilities, or for an output without classes the difference in units of its
    deviation over the inputs. Each head is changed alone, and all heads of a layer together. Two controls stand beside: a head
    whose values are zero, the one that changes most, and the change between answers to two inputs.

    Args:
        subject: the `Subject`.
        seed: int, of the permutations.
        draws: int, permutations of every head.
        layers: addresses of the weights of the layers whose heads are changed; empty: all layers.
        groups: sequence, the source of every input, whose inputs count as one; None: those of the subject.

    Returns:
        list of `Evidence`, one a head, a layer and a control, with samples permuted, uniform, knocked out and another input,
            float64 [sources], and how far the weights are from uniform ones.
    """
    groups = _numbered(subject, groups)
    gates = [attention_gate(subject.network), _sources_gate(groups)]
    if any(gate.status != "passed" for gate in gates):
        return [head_evidence("attention_use", ATTENTION, subject, {}, gates)]
    before, heads = _answers(subject), selections(subject.network, layers)
    others = _changes_between_inputs(before, groups)
    rows = {name: _changes_under(subject, before, seed, draws, *head) for name, head in heads.items()}
    moved = {name: _distance_from_uniform(subject, *head) for name, head in heads.items()}
    strongest = max(heads, key=lambda name: rows[name]["permuted"].mean())
    rows[SILENT] = _changes_of_silent_heads(subject, heads[strongest], seed, draws)
    rows[OTHER] = dict.fromkeys(DECIDING, others)
    gates.append(_answers_gate(others))
    sizes, settings = {"images": len(np.unique(groups)), "draws": draws}, {"seed": seed, "draws": draws}
    moved |= dict.fromkeys((SILENT, OTHER), np.ones_like(others))
    samples = {
        name: {key: _by_source(values, groups) for key, values in {**row, OTHER: others, MOVED: moved[name]}.items()}
        for name, row in rows.items()
    }
    return [
        head_evidence("attention_use", name, subject, values, gates, sizes=sizes, settings=settings)
        for name, values in samples.items()
    ]


def _numbered(subject, groups):
    """The source of every input as a number: int [inputs]."""
    count = len(subject.names)
    groups = next((known for known in (groups, subject.groups) if known is not None), range(count))
    if len(groups) != count:
        raise Refused(f"Every input has one group, its source. Received: {len(groups)} groups for {count} inputs.")
    return number_groups(groups)


def _answers(subject, outputs=None):
    """Probabilities of classes, or all numbers of an output without classes: float64 [inputs, numbers].

    `outputs` are by name and before softmax; None: those of the network as it is.
    """
    network = subject.network
    outputs = routines.outputs(network, subject.inputs) if outputs is None else outputs
    if subject.tells_classes_apart:
        return routines.probabilities(network, subject.inputs, subject.output, computed=outputs).astype("float64")
    values = outputs[network.output_name(subject.output)].astype("float64")
    return values.reshape(len(values), -1)


def _unit(answers):
    """What changes are measured in: 1 for probabilities, the deviation over inputs for other numbers."""
    is_probability = answers.shape[1] > 1 and np.allclose(answers.sum(axis=1), 1, atol=1e-4)
    return 1.0 if is_probability else answers.std(axis=0)


def _distances(answers, before):
    """Half the sum of absolute differences, the total variation of probabilities: float64 [inputs]."""
    unit = _unit(before)
    differences = np.divide(np.abs(answers - before), unit, out=np.zeros_like(before), where=np.asarray(unit) > 0)
    return differences.sum(axis=1) / 2


def _changes_between_inputs(before, groups):
    """Mean distance of an answer from those to inputs of other sources: float64 [inputs]."""
    return np.array([_distances(answer, before)[groups != group].mean() for answer, group in zip(before, groups)])


def _changes_under(subject, before, seed, draws, address, head):
    selection = select(subject.network, address, head)

    def distances(intervention, draw=0):
        outputs = outputs_under(
            subject.network, subject.inputs, intervention, selection, seed=derive_seed(seed, "permutation", draw)
        )
        return _distances(_answers(subject, outputs), before)

    return {
        "permuted": np.mean([distances(permuted, draw) for draw in range(draws)], axis=0),
        "uniform": distances(uniform),
        "knocked out": distances(knocked_out),
    }


def _distance_from_uniform(subject, address, head):
    """How far the weights of a head, or the mean of a layer's, are from uniform ones: float64 [inputs]."""
    distances = distance_from_uniform(subject.network, subject.inputs, address).astype("float64")
    return distances.mean(axis=1) if head is None else distances[:, head]


def _changes_of_silent_heads(subject, head, seed, draws):
    """The changes under what matters most, a head or a layer, once its values are zero: they must be none."""
    selection = select(subject.network, *head)

    def answers(intervention, draw=0, selection=selection):
        network, draw_seed = subject.network, derive_seed(seed, "permutation", draw)
        outputs = outputs_under(network, subject.inputs, intervention, selection, seed=draw_seed, silent=silent)
        return _answers(subject, outputs)

    silent, nothing = selection, tf.nest.map_structure(np.zeros_like, selection)
    before = answers(uniform, selection=nothing)
    changes = [_distances(answers(permuted, draw), before) for draw in range(draws)]
    return {"permuted": np.mean(changes, axis=0), "uniform": _distances(answers(uniform), before)}


def _sources_gate(groups):
    count = len(np.unique(groups))
    return Gate(
        "inputs to compare", "passed" if count > 1 else "failed", f"{count} sources; needed: 2, give more inputs"
    )


def _answers_gate(others):
    """The network answers differently to different inputs, or nothing could change its answers."""
    words = f"answers to two inputs differ by {np.mean(others):.3f}"
    return Gate("answers differ", "passed" if np.mean(others) > 0 else "failed", words)


def _by_source(values, groups):
    """Means over the inputs of a source: float64 [sources]."""
    _, places = np.unique(groups, return_inverse=True)
    return np.bincount(places, values) / np.bincount(places)


@rules.register(
    name="attention_use",
    about=About(
        "Attention is used",
        "permuted or uniform",
        {
            "USED": "the answers change when the weights of this attention are permuted or made uniform",
            "UNUSED": "the answers to these inputs hardly change, whichever keys the weights of this attention go to",
            "UNDECIDED": "{why}",
        },
        number="change of the answers",
        similarity="total variation of the answers; without classes half the difference in deviations over the inputs",
        ceiling="between two inputs",
        counted={"images": "images", "draws": "permutations"},
        cannot="Cannot conclude: that the weights say which words matter, or anything about other networks, data or tasks. Heads are changed one at a time. One that is unused may stand in for another.",
        better="",
    ),
)
def judge_attention_use(family, margins, seed):
    """Used where a change lies above a twentieth of that between two inputs, unused where both lie below.

    Signs of sources are flipped, max-T over all heads and both changes, for either side.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    rulings = [None] * len(family)
    for places in families(family):
        excess = np.stack([_excess(family[place], margins) for place in places])
        above, below = (_adjusted_p(sign * excess, seed) for sign in (1, -1))
        for place, values, *p in zip(places, excess, above, below):
            rulings[place] = _ruling(family[place], values, *p, margins, seed)
    return rulings


def _excess(evidence, margins):
    """How far each change lies above the margin: float64 [changes, sources]."""
    margin = margins.small * evidence.samples[OTHER]
    return np.stack([evidence.samples[name] - margin for name in DECIDING])


def _adjusted_p(excess, seed):
    """p that means are not above zero, adjusted over heads and changes: float64 [heads, changes]."""
    flat = excess.reshape(-1, excess.shape[-1])
    return sign_flips(flat, seed=seed).reshape(excess.shape[:2])


def _ruling(evidence, excess, above, below, margins, seed):
    largest = int(excess.mean(axis=1).argmax())
    changes, others = evidence.samples[DECIDING[largest]], evidence.samples[OTHER]
    outcome, finding, why, p = _decide(excess, evidence.samples[MOVED], above, below, margins, seed)
    enough = len(others) >= margins.images
    interval = (lambda values: bootstrap_interval(values[None], seed=seed)) if enough else _mean_alone
    shares = {
        name: evidence.samples[name].mean() / others.mean() for name in evidence.samples if name not in (OTHER, MOVED)
    }
    also = tuple((name, f"{share:.3f} of the change between two inputs") for name, share in shares.items())
    also += (("not seen", f"use by fewer than {_rarest_use(len(others)):.0%} of inputs"),)
    remedy = images_remedy(excess[largest], (0.0,), margins) if finding == "UNDECIDED" else ""
    return Ruling(outcome, finding, interval(changes), interval(others), p=p, why=why, also=also, remedy=remedy)


def _mean_alone(values):
    return without_interval(values.mean())


def _rarest_use(count):
    """The share of inputs that would all be missed by `count` of them in one of twenty draws."""
    return 1 - 0.05 ** (1 / count)


def _decide(excess, moved, above, below, margins, seed):
    """Outcome, finding, why and p. Use by few inputs is skewed, so that every input must lie below for UNUSED."""
    share = f"{margins.small} of the change between two inputs"
    if excess.shape[1] < margins.images:
        return "INCONCLUSIVE", "UNDECIDED", f"fewer than {margins.images} images decide nothing", None
    intervals = [bootstrap_interval(values[None], seed=seed) for values in excess]
    used = [interval.low > 0 and p < margins.alpha for interval, p in zip(intervals, above)]
    if any(used):
        p = float(min(p for p, is_used in zip(above, used) if is_used))
        return "PASS", "USED", f"a change lies above {share}", p
    if moved.mean() < margins.small:
        why = (
            "its weights cannot be moved: there is one key, or they are uniform already, or each query has one key left"
        )
        return "INCONCLUSIVE", "UNDECIDED", why, None
    if all(interval.high < 0 for interval in intervals) and max(below) < margins.alpha:
        if excess.max() > 0:
            return "INCONCLUSIVE", "UNDECIDED", f"the mean lies below {share}, and an input changes by more", None
        return "FAIL", "UNUSED", f"both changes lie below {share}", float(max(below))
    return "INCONCLUSIVE", "UNDECIDED", f"it is not shown on which side of {share} the change lies", None
