"""Codes: the factors that lowered a score most, how stable they are, whether they matter, and whether the reference does.

Codes are compared between draws of the reference rows, by unit, and between networks that were trained alike. A code that comes and
goes with these is no reason that a person can be given.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sanity.audit.attributions import attribute, exchange_roles
from sanity.audit.decisions import decision_rule, draw_rows, draw_units, just_passed
from sanity.audit.factors import group_factors, members
from sanity.audit.permutation import resample_units
from sanity.seeds import derive_seed

# Codes at most, draws at least, and the share of them from which on a code is stable.
CODES, DRAWS, STABLE = 4, 20, 0.9
# Refused rows and reference rows at most, and reference rows at least.
DENIED, REFERENCES, FEWEST_REFERENCES = 200, 100, 50
# Reference rows whose values are put in; half of them choose the best factors. Random sets of factors of each row.
REPLACING, SETS = 40, 10
# Decisions that the best factors turn beyond those by lot, below which there is no skill.
LEAST_ROOM = 0.02
# Of networks with exchanged roles: rows, reference rows, and how many networks stand for twins where there are none.
NULL_ROWS, NULL_REFERENCES, NULL_NETWORKS = 60, 25, 6


def code_count(factors):
    """How many codes are named at most: four, and no more than half of the factors, or a factor by lot would mostly be one.

    Args:
        factors: int.

    Returns:
        int.
    """
    return min(CODES, max(1, factors // 2))


def codes_of(contributions):
    """Which factors are codes: those with the most negative contributions.

    Args:
        contributions: float64 [..., rows, factors].

    Returns:
        bool of the same shape. What raised a score, or left it, is never a code.
    """
    count = code_count(contributions.shape[-1])
    ranks = np.argsort(np.argsort(contributions, axis=-1, kind="stable"), axis=-1, kind="stable")
    least = 1e-9 * np.abs(contributions).max(axis=-1, keepdims=True, initial=0)
    return (ranks < count) & (contributions < -least)


@dataclass(frozen=True)
class Explained:
    """Contributions to the scores of refused rows, against those who just passed.

    Args:
        factors: list of `sanity.audit.factors.Factor`.
        rule: `sanity.audit.decisions.DecisionRule`.
        rows: int [denied], places in the tested rows.
        passed: int [references], places of those who just passed.
        by_network: tuple of `sanity.audit.attributions.Attributions`, of the network and then of its twins.
        units: int [references].
        seed: int, of the draws.
    """

    factors: list
    rule: object
    rows: np.ndarray
    passed: np.ndarray
    by_network: tuple
    units: np.ndarray
    seed: int

    @property
    def contributions(self):
        """Of the network: float64 [denied, factors]."""
        return self.by_network[0].means

    @cached_property
    def codes(self):
        """Codes of each row by this network: bool [denied, factors]."""
        return codes_of(self.contributions)

    @property
    def first(self):
        """The factor that lowered each score most: int [denied]."""
        return self.contributions.argmin(axis=1)

    @cached_property
    def drawn(self):
        """Codes of each draw: bool [draws, denied, factors]."""
        return codes_of(draw_means(self.by_network, self.units, seed=self.seed))

    @cached_property
    def shares(self):
        """The share of draws in which each factor is a code: float64 [denied, factors]."""
        return self.drawn.mean(axis=0)

    @property
    def stable(self):
        """Codes that stay in .9 of the draws: bool [denied, factors]."""
        return self.codes & (self.shares >= STABLE - 1e-9)

    @property
    def first_stays(self):
        """Whether the first code of each row is stable: bool [denied]."""
        return self.stable[np.arange(len(self.rows)), self.first]


def draw_means(by_network, units, *, seed, draws=DRAWS):
    """Mean contributions when reference rows are drawn anew by unit, in turn of every network.

    Args:
        by_network: tuple of `Attributions` against the same references.
        units: int [references].
        seed: int.
        draws: int at least; each network has as many.

    Returns:
        float64 [draws, rows, factors].
    """
    turns = int(np.ceil(draws / len(by_network)))
    means = []
    for number, attributions in enumerate(by_network):
        weights = np.stack(
            [_weights(units, derive_seed(seed, f"references of network {number}", turn)) for turn in range(turns)]
        )
        means.append(np.einsum("dr,nrf->dnf", weights, attributions.values))
    return np.concatenate(means)


def _weights(units, seed):
    drawn = np.bincount(resample_units(units, seed=seed), minlength=len(units))
    return drawn / drawn.sum()


def explain_denied(subject, *, seed, rows=None, most_rows=DENIED, references=REFERENCES, **options):
    """Contributions of each factor to the scores of refused rows, by the network and its twins.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        rows: int [rows], places of the rows to explain; None: refused ones, one of each unit, drawn by lot.
        most_rows: int.
        references: int, rows that just passed at most.
        options: of `sanity.audit.attributions.attribute`.

    Returns:
        `Explained`.

    Raises:
        Refused: as of `decision_rule`.
    """
    rule, test, factors = decision_rule(subject), subject.test, group_factors(subject)
    scores = rule.scores(test.logits)
    if rows is None:
        rows = draw_units(test.units, scores < rule.threshold, most_rows, seed=derive_seed(seed, "denied"))
    passed = draw_rows(
        test.units, just_passed(scores, rule.threshold), references, seed=derive_seed(seed, "just passed")
    )
    networks = (subject.predict, *subject.networks)
    by_network = tuple(
        attribute(
            rule.scorer(predict),
            test.inputs[rows],
            test.inputs[passed],
            factors,
            seed=derive_seed(seed, "network", number),
            **options,
        )
        for number, predict in enumerate(networks)
    )
    units = np.unique(test.units[passed], return_inverse=True)[1]
    return Explained(factors, rule, np.asarray(rows), passed, by_network, units, derive_seed(seed, "draws"))


def against_all(subject, explained, *, seed, references=REFERENCES, **options):
    """Contributions of the same rows against all rows, the second population that Regulation B's comment names.

    Args:
        subject: `AuditSubject`.
        explained: `Explained`.
        seed: int.
        references: int.
        options: of `attribute`.

    Returns:
        float64 [denied, factors].
    """
    everyone = np.ones(len(subject.test), bool)
    rows = draw_rows(subject.test.units, everyone, references, seed=derive_seed(seed, "all rows"))
    score, inputs = explained.rule.scorer(subject.predict), subject.test.inputs
    return attribute(
        score, inputs[explained.rows], inputs[rows], explained.factors, seed=derive_seed(seed, "all"), **options
    ).means


def overlap(first, second):
    """How many codes two sets share, as a share of the larger one.

    Args:
        first: bool [..., factors].
        second: bool [..., factors].

    Returns:
        float64 [...], 1 where both are empty.
    """
    larger = np.maximum(first.sum(axis=-1), second.sum(axis=-1))
    return np.where(larger > 0, (first & second).sum(axis=-1) / np.maximum(larger, 1), 1.0)


def random_sets(codes, sets, *, seed):
    """Factors drawn by lot, as many as each row has codes.

    Args:
        codes: bool [rows, factors].
        sets: int.
        seed: int.

    Returns:
        bool [sets, rows, factors].
    """
    keys = np.random.default_rng(seed).random((sets, *codes.shape))
    ranks = np.argsort(np.argsort(keys, axis=-1), axis=-1)
    return ranks < codes.sum(axis=-1)[None, :, None]


@dataclass(frozen=True)
class Turned:
    """How often a refusal turns when some factors take the values of those who just passed.

    Args:
        codes: float64 [rows], the coded factors.
        random: float64 [sets, rows], as many factors by lot.
        ceiling: float64 [rows], as many factors by greedy search.
    """

    codes: np.ndarray
    random: np.ndarray
    ceiling: np.ndarray


def turned_decisions(subject, explained, *, seed, sets=SETS):
    """Put values of those who just passed in place of some factors, and count the decisions that turn.

    The greedy search chooses on one half of the reference rows; everything is counted on the other half.

    Args:
        subject: `AuditSubject`.
        explained: `Explained`.
        seed: int.
        sets: int, sets of factors by lot.

    Returns:
        `Turned`.
    """
    inputs, rule = subject.test.inputs, explained.rule
    chosen_for = np.random.default_rng(derive_seed(seed, "replacing")).permutation(explained.passed)[:REPLACING]
    choosing, counting = np.array_split(inputs[chosen_for], 2)
    rows, owners = inputs[explained.rows], members(explained.factors, inputs.shape[1])
    score = rule.scorer(subject.predict)

    def outcomes(sets, references):
        """Mean share of decisions that turn, and mean score: float64 [2, rows]."""
        mixed = np.where(sets[:, owners][:, None], references, rows[:, None])
        scores = score(mixed.reshape(-1, inputs.shape[1])).reshape(len(rows), len(references))
        return np.stack([(scores >= rule.threshold).mean(axis=1), scores.mean(axis=1)])

    drawn = random_sets(explained.codes, sets, seed=derive_seed(seed, "sets"))
    best = _greedy_sets(explained.codes, lambda sets: outcomes(sets, choosing))
    return Turned(
        outcomes(explained.codes, counting)[0],
        np.stack([outcomes(sets, counting)[0] for sets in drawn]),
        outcomes(best, counting)[0],
    )


def _greedy_sets(codes, outcomes):
    """As many factors as there are codes, each the one that turns most decisions beside those before: bool [rows, factors]."""
    sets, count = np.zeros_like(codes), codes.sum(axis=1)
    for step in range(int(count.max(initial=0))):
        shares, scores = np.full(codes.shape, -np.inf), np.full(codes.shape, -np.inf)
        for factor in range(codes.shape[1]):
            more = sets.copy()
            more[:, factor] = True
            shares[:, factor], scores[:, factor] = outcomes(more)
        shares[sets] = -np.inf
        leading = shares >= shares.max(axis=1, keepdims=True)
        best = np.where(leading, scores, -np.inf).argmax(axis=1)
        open_ = step < count
        sets[np.flatnonzero(open_), best[open_]] = True
    return sets


def skill_interval(turned, *, seed, draws=1000, level=0.95):
    """Where codes lie between factors by lot, 0, and the best factors, 1.

    Args:
        turned: `Turned`; its codes may be float64 [sets of codes, rows].
        seed: int.
        draws: int, bootstrap samples of rows.
        level: float.

    Returns:
        float64 [3] or [sets of codes, 3], the skill and its bounds; nan where the best factors turn hardly more decisions than
        those by lot.
    """
    random, ceiling = turned.random.mean(axis=0), turned.ceiling
    codes, count = np.atleast_2d(turned.codes), len(ceiling)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws) / count
    room = weights @ (ceiling - random)
    result = np.full((len(codes), 3), np.nan)
    if (ceiling - random).mean() > LEAST_ROOM and (room > 0).mean() > (1 + level) / 2:
        gains = (codes - random) @ weights[room > 0].T / room[room > 0]
        result[:, 0] = (codes - random).mean(axis=1) / (ceiling - random).mean()
        result[:, 1:] = np.quantile(gains, [(1 - level) / 2, (1 + level) / 2], axis=1).T
    return result if turned.codes.ndim == 2 else result[0]


def chance_stays(subject, explained, copies, *, seed):
    """Whether the first code stays, of networks that agree on nothing: each plays with the roles of its inputs exchanged.

    Args:
        subject: `AuditSubject`.
        explained: `Explained`.
        copies: int.
        seed: int.

    Returns:
        bool [copies, rows], of as many rows as were explained.
    """
    rng = np.random.default_rng(derive_seed(seed, "roles"))
    drawn = rng.permutation(len(explained.rows))[:NULL_ROWS]
    references = rng.permutation(len(explained.passed))[:NULL_REFERENCES]
    pool = [
        _with_roles(
            subject, explained, explained.rows[drawn], explained.passed[references], derive_seed(seed, "role", number)
        )
        for number in range(max(copies, NULL_NETWORKS))
    ]
    twins = len(explained.by_network)
    twins = min(twins, len(pool)) if twins > 1 else NULL_NETWORKS
    stays = np.empty((copies, len(explained.rows)), bool)
    for copy in range(copies):
        networks = tuple(pool[number] for number in rng.permutation(len(pool))[:twins])
        parts = Explained(
            explained.factors,
            explained.rule,
            drawn,
            references,
            networks,
            explained.units[references],
            derive_seed(seed, "copy", copy),
        )
        stays[copy] = parts.first_stays[rng.integers(len(drawn), size=stays.shape[1])]
    return stays


def _with_roles(subject, explained, rows, references, seed):
    """Contributions where factors play each other's parts: `Attributions`."""
    inputs, score = subject.test.inputs, explained.rule.scorer(subject.predict)
    to_roles, moved = exchange_roles(inputs, explained.factors, seed=seed)
    return attribute(score, to_roles(inputs[rows]), to_roles(inputs[references]), moved, seed=seed, most=0)
