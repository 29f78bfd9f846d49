"""Order: do the tokens that get most attention change the score most when they are left out?

Jain, Wallace 2019, https://arxiv.org/abs/1902.10186. Rank agreement of attention with leave-one-out, beside the gradient. An
order that is blind to the words knows positions alone. Each order is compared with such a one of itself.
"""

import numpy as np
from scipy import stats

from lab import routines
from lab.attention import key_weights
from lab.environment import tf
from lab.kinds import SERIES, TOKENS, kind_of
from sanity.checks import checks
from sanity.controls import families
from sanity.effects import occupied_positions, score_falls, variable_inputs
from sanity.evidence import Gate
from sanity.heads import ATTENTION, attention_gate, head_evidence, head_name
from sanity.ruling import About, Ruling, images_remedy, rules
from sanity.statistics import FEWEST, bootstrap_interval, sign_flips, without_interval

ORACLE = "leave-one-out"


@checks.register(claim="attention")
def attention_order(subject, *, seed, query=None):
    """Do the tokens that get most attention change the score most when they are left out?

    Attention is that of the queries that the score reads, of every head and of the mean over the heads of a layer. Beside it
    stand the norm of the gradient and two controls: position alone, the mean change at a position over the other inputs, and
    uniform weights.

    Args:
        subject: the `Subject`, of inputs of one array of tokens or steps.
        seed: int, of what fills a token that is left out.
        query: int, the query whose row is taken; None: as of `lab.attention.key_weights`.

    Returns:
        list of `Evidence`, one an order, with samples agreement and by position, float64 [inputs], and the same of the changes
            themselves under two fills.
    """
    gates = [attention_gate(subject.network), _positions_gate(subject)]
    if any(gate.status != "passed" for gate in gates):
        return [head_evidence("attention_order", ATTENTION, subject, {}, gates)]
    occupied = occupied_positions(subject.network, subject.inputs)
    halves = _changes_without_tokens(subject, occupied, seed)
    changes = np.mean(halves, axis=0)
    oracle = _agreements(halves[0], halves[1], occupied)
    shared = {f"{ORACLE} {name}": values for name, values in oracle.items()}
    return [
        head_evidence(
            "attention_order",
            name,
            subject,
            {**_agreements(order, changes, occupied), **shared},
            gates,
            settings={"seed": seed, "query": query},
        )
        for name, order in _orders(subject, changes, occupied, query).items()
    ]


def _positions_gate(subject):
    """The inputs are one array of tokens or steps, and some attention has a key for each of them: `Gate`."""
    leaves = tf.nest.flatten(subject.inputs)
    is_sequence = len(leaves) == 1 and kind_of(leaves[0]) in (TOKENS, SERIES)
    length = leaves[0].shape[1] if is_sequence else 0
    counts = {row.keys for row in subject.network.attentions.values()}
    words = f"{length or 'no'} tokens or steps; keys: {', '.join(map(str, sorted(counts, key=str))) or 'none'}"
    fits = is_sequence and bool(counts & {length, None})
    return Gate("keys are tokens", "passed" if fits else "not applicable", words)


def _changes_without_tokens(subject, occupied, seed):
    """The change of the score when a token alone is filled: two of float64 [inputs, tokens], one a fill."""
    tokens = np.arange(occupied.shape[1])
    fills = kind_of(subject.inputs).fills
    return [np.abs(score_falls(subject, [subject.objective], tokens, occupied, fill, seed)[0]) for fill in fills]


def _orders(subject, changes, occupied, query):
    """What ranks the tokens: dict of name to float64 [inputs, tokens]."""
    orders = {}
    for address, rows in key_weights(subject.network, subject.inputs, subject.objective, query=query).items():
        if rows.shape[2] == occupied.shape[1]:
            orders[f"{address} mean of heads"] = rows.mean(axis=1)
            orders |= {head_name(address, head): rows[:, head] for head in range(rows.shape[1])}
    slopes = _gradient_norms(subject)
    orders |= {} if slopes is None else {"gradient norm": slopes}
    return orders | {"position alone": _of_others(changes), "uniform weights": np.ones_like(changes)}


def _gradient_norms(subject):
    """The norm of the score's gradient at every token or its vector: float64 [inputs, tokens], None where there is none."""
    variable = variable_inputs(subject)
    if variable is None:
        return None
    slopes = routines.gradient(*variable, subject.objective)[1]
    leaves = slopes["vectors"].values() if isinstance(slopes, dict) else [slopes]
    return np.sqrt(sum((np.asarray(leaf, "float64") ** 2).sum(axis=-1) for leaf in leaves))


def _of_others(values):
    """At every position the mean over the other inputs, each in shares of its sum: float64 [inputs, tokens]."""
    sums = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, sums, out=np.zeros_like(values, "float64"), where=sums > 0)
    return (shares.sum(axis=0) - shares) / max(1, len(values) - 1)


def _agreements(order, changes, occupied):
    """How an order agrees with changes, and how the order of the other inputs does: dict of float64 [inputs]."""
    return {
        "agreement": rank_agreement(order, changes, occupied),
        "by position": rank_agreement(_of_others(order), changes, occupied),
    }


def rank_agreement(order, changes, occupied):
    """Kendall's tau-b over the tokens of every input (Kendall 1945, https://doi.org/10.1093/biomet/33.3.239).

    Args:
        order: float [inputs, tokens].
        changes: float [inputs, tokens].
        occupied: bool [inputs, tokens], the tokens that count.

    Returns:
        float64 [inputs], 0 where all tokens are tied.
    """
    rows = zip(order, changes, occupied)
    values = [stats.kendalltau(row[mask], change[mask]).statistic for row, change, mask in rows]
    return np.nan_to_num(np.array(values, "float64"))


@rules.register(
    name="attention_order",
    about=About(
        "Attention in order of effects",
        "the order",
        {
            "IN ORDER": "tokens with more attention change the score more when they are left out, beyond what their positions tell",
            "NOT IN ORDER": "the order of attention agrees with that of leaving tokens out no more than positions do",
            "BARELY": "{why}",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "two ways to leave tokens out do not agree themselves; {why}",
        },
        number="rank agreement with leaving tokens out, less that of positions alone",
        similarity="Kendall's tau-b over tokens with the change of the score without a token, less the tau-b of the mean order of the other inputs where that is above zero",
        ceiling="two ways to leave tokens out",
        counted={"images": "images"},
        cannot="Cannot conclude: that attention is the reason of an answer, or anything about other networks, data or targets. A token may matter with others alone.",
        better="higher",
    ),
)
def judge_attention_order(family, margins, seed):
    """The agreement less that by position, beside that of two ways to leave tokens out; sign flips of inputs, max-T.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    oracle = _beyond_position(family[0], f"{ORACLE} ")
    ceiling, p = _interval(oracle, seed), float(sign_flips(oracle[None], seed=seed)[0])
    if not (p < margins.alpha and ceiling.mean >= margins.known):
        why = f"their agreement beyond positions is {ceiling}, p = {p:.2g}"
        return [Ruling("INVALID", "ORACLE DOES NOT PASS", ceiling=ceiling, why=why) for _ in family]
    rulings = [None] * len(family)
    for places in families(family):
        values = np.stack([_beyond_position(family[place]) for place in places])
        for place, row, p in zip(places, values, sign_flips(values, seed=seed)):
            rulings[place] = _ruling(family[place], row, float(p), ceiling, margins, seed)
    return rulings


def _beyond_position(evidence, prefix=""):
    """The agreement less that by position, or less that of uniform weights, which is zero: the lower one, float64 [inputs]."""
    agreement, by_position = (evidence.samples[f"{prefix}{name}"] for name in ("agreement", "by position"))
    return agreement - by_position if by_position.mean() > 0 else agreement


def _interval(values, seed):
    return bootstrap_interval(values[None], seed=seed) if len(values) >= FEWEST else without_interval(values.mean())


def _ruling(evidence, values, p, ceiling, margins, seed):
    interval, bar = _interval(values, seed), margins.small * ceiling.mean
    outcome, finding, why = _decide(values, interval, p, bar, margins)
    also = tuple((name, f"{evidence.samples[name].mean():.2f}") for name in ("agreement", "by position"))
    remedy = images_remedy(values, (bar,), margins) if finding == "UNDECIDED" else ""
    return Ruling(outcome, finding, interval, ceiling, p=p, why=why, also=also, remedy=remedy)


def _decide(values, interval, p, bar, margins):
    """Outcome, finding and why."""
    share = f"{margins.small} of the agreement of two ways to leave tokens out"
    if len(values) < margins.images:
        return "INCONCLUSIVE", "UNDECIDED", f"fewer than {margins.images} images decide nothing"
    if p < margins.alpha and interval.low > bar:
        return "PASS", "IN ORDER", f"it lies above {share}"
    if p < margins.alpha and interval.high <= bar:
        return "INCONCLUSIVE", "BARELY", f"it shows, but lies below {share}"
    if interval.high <= bar:
        return "FAIL", "NOT IN ORDER", f"it lies below {share}"
    return "INCONCLUSIVE", "UNDECIDED", f"it is not shown on which side of {share} it lies"
