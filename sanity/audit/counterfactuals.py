"""Counterfactuals: which changes of what a person can change turn a refusal, and whether they would on another network.

Wachter, Mittelstadt, Russell 2018 (https://arxiv.org/abs/1711.00399). The search aims above the threshold by a margin: what just
passes on one network fails on others that were trained alike (Pawelczyk et al. 2020, https://arxiv.org/abs/2006.13132).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from sanity.audit.decisions import decision_rule, draw_units
from sanity.audit.plausibility import neighbourhood
from sanity.seeds import derive_seed

FOUND, FRAGILE, NONE = "RECOURSE FOUND", "FRAGILE", "NONE FOUND"
# Margins in log odds that are tried, that of one network alone, and the share of rows that has to hold on all networks.
MARGINS, ALONE, HOLD = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0), 1.0, 0.9
# Refused rows that the margin is taken from, values of a number that are tried, and halvings of a change.
ROWS, VALUES, HALVINGS = 40, 20, 12
# Changes within this share of the best one gain alike, and the larger one is made.
ALIKE = 0.999


@dataclass(frozen=True)
class Lever:
    """A column that a person can change.

    Args:
        name: str.
        places: tuple of int, where its inputs stand.
        choices: float32 [choices, places], what they may become.
        direction: "up", "down" or "any".
        levels: tuple of str, of a category.
        unit: float, what a change of cost 1 is.
        decimals: int, with which a number is written.
    """

    name: str
    places: tuple
    choices: np.ndarray
    direction: str
    levels: tuple
    unit: float
    decimals: int

    def rank(self, values):
        """What "up" raises: a number, or the place of a level: float64 [rows].

        Args:
            values: float [rows, places].
        """
        return values[:, 0].astype("float64") if len(self.places) == 1 else values.argmax(axis=1).astype("float64")

    def cost(self, before, after):
        """What changes cost: of a number |dx| / MAD, of a category 1.

        Args:
            before: float [rows, places].
            after: float [rows, places].

        Returns:
            float64 [rows].
        """
        moved = np.abs(self.rank(after) - self.rank(before))
        return (moved > 0).astype("float64") if self.levels else moved / self.unit

    def allows(self, before, after):
        """Whether changes go its way.

        Args:
            before: float [rows, places].
            after: float [rows, places].

        Returns:
            bool [rows].
        """
        moved = self.rank(after) - self.rank(before)
        return {"up": moved >= 0, "down": moved <= 0, "any": np.ones(len(moved), bool)}[self.direction]

    def written(self, before, after):
        """A number as it is written out, rounded away from where it was.

        Args:
            before: float.
            after: float.

        Returns:
            str.
        """
        scaled = round(float(after) * 10**self.decimals, 6)
        rounded = (np.ceil if after > before else np.floor)(scaled) / 10**self.decimals
        return f"{rounded:.{self.decimals}f}"

    def cell(self, values):
        """The value of the column in words: str.

        Args:
            values: float [places].
        """
        if self.levels:
            return self.levels[int(self.rank(values[None])[0])]
        return f"{float(values[0]):.{self.decimals}f}"


def levers(subject):
    """The columns that the sheet calls actionable: list of `Lever`.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
    """
    names = [name for name in subject.input_places if subject.sheet.column(name).actionable]
    return [lever for name in names if (lever := _lever(subject, name)) is not None]


def _lever(subject, name):
    column, places = subject.test.column(name), subject.input_places[name]
    direction = subject.sheet.column(name).actionable
    if column.is_category:
        choices = np.arange(len(column.levels))[:, None] if len(places) == 1 else np.eye(len(places))
        return Lever(name, places, choices.astype("float32"), direction, column.levels, 1.0, 0)
    values = column.values[np.isfinite(column.values)]
    if len(places) > 1 or not len(values) or np.ptp(values) == 0:
        return None
    choices = np.unique(np.quantile(values, np.linspace(0.01, 0.99, VALUES)))
    unit = float(np.median(np.abs(values - np.median(values)))) or float(values.std())
    decimals = 0 if (values == np.round(values)).all() else int(max(0, 2 - np.floor(np.log10(unit))))
    choices = np.unique(np.round(choices, decimals))
    return Lever(name, places, choices[:, None].astype("float32"), direction, (), unit, decimals)


def total_cost(columns, before, after):
    """The cost of all changes together.

    Args:
        columns: list of `Lever`.
        before: float32 [rows, inputs].
        after: float32 [rows, inputs].

    Returns:
        float64 [rows].
    """
    return sum(lever.cost(before[:, lever.places], after[:, lever.places]) for lever in columns)


def search(score, inputs, columns, goal):
    """Change one column after another, most gain for its cost first, until the score reaches a goal; then take back what can be.

    Args:
        score: float32 [rows, inputs] -> float64 [rows].
        inputs: float32 [rows, inputs].
        columns: list of `Lever`.
        goal: float.

    Returns:
        float32 [rows, inputs]; where the goal was not reached as far as the search went.
    """
    state, original = np.array(inputs, "float32"), np.asarray(inputs, "float32")
    moves = [(lever, choice) for lever in columns for choice in lever.choices]
    open_ = np.flatnonzero(score(state) < goal) if moves else np.zeros(0, int)
    for _ in range(3 * len(columns)):
        if not len(open_):
            break
        changed, moved = _best_moves(score, original[open_], state[open_], moves, columns, goal)
        state[open_] = changed
        open_ = open_[moved]
        open_ = open_[score(state[open_]) < goal] if len(open_) else open_
    reached = np.flatnonzero(score(state) >= goal)
    if len(reached) and moves:
        state[reached] = _taken_back(score, original[reached], state[reached], columns, goal)
    return state


def _best_moves(score, original, state, moves, columns, goal):
    """The best move of each row: what reaches the goal at the least cost, or else gains most for its cost.

    Returns:
        float32 [rows, inputs]; bool [rows], whether there is any.
    """
    candidates = np.repeat(state[None], len(moves), axis=0)
    allowed = np.empty((len(moves), len(state)), bool)
    for place, (lever, choice) in enumerate(moves):
        candidates[place][:, lever.places] = choice
        allowed[place] = lever.allows(original[:, lever.places], candidates[place][:, lever.places])
    scores = score(candidates.reshape(-1, state.shape[1])).reshape(allowed.shape)
    costs = np.stack([total_cost(columns, original, rows) for rows in candidates])
    before, spent = score(state), total_cost(columns, original, state)
    reaches = allowed & (scores >= goal)
    gains = np.where(allowed & (scores > before + 1e-9), scores - before, -np.inf)
    rates = gains / np.maximum(costs - spent, 1e-6)
    leading = rates >= np.where(np.isfinite(rates.max(axis=0)), ALIKE * rates.max(axis=0), np.inf)
    climbing = np.where(leading, scores, -np.inf).argmax(axis=0)
    best = np.where(reaches.any(axis=0), np.where(reaches, costs, np.inf).argmin(axis=0), climbing)
    moved = reaches.any(axis=0) | np.isfinite(gains).any(axis=0)
    rows = np.arange(len(state))
    return np.where(moved[:, None], candidates[best, rows], state), moved


def _taken_back(score, original, state, columns, goal):
    """Undo changes that are not needed, and halve those of numbers as far as the goal is still reached."""
    state = state.copy()
    for lever in sorted(columns, key=lambda lever: lever.name):
        places = list(lever.places)
        undone = state.copy()
        undone[:, places] = original[:, places]
        low, high = undone[:, places], state[:, places].copy()
        fits = score(undone) >= goal
        high[fits] = low[fits]
        for _ in range(0 if lever.levels else HALVINGS):
            middle, halved = (low + high) / 2, state.copy()
            halved[:, places] = middle
            fits = (score(halved) >= goal)[:, None]
            low, high = np.where(fits, low, middle), np.where(fits, middle, high)
        state[:, places] = high
    return state


def write_out(original, state, columns):
    """Changed rows as they would be written into a table and read again.

    Args:
        original: float32 [rows, inputs].
        state: float32 [rows, inputs].
        columns: list of `Lever`.

    Returns:
        float32 [rows, inputs].
    """
    written = state.copy()
    for lever in columns:
        if lever.levels:
            continue
        place = lever.places[0]
        for row in np.flatnonzero(state[:, place] != original[:, place]):
            written[row, place] = float(lever.written(original[row, place], state[row, place]))
    return written


def choose_margin(subject, *, seed):
    """How far above the threshold the search has to aim: the least margin at which .9 of the changes hold on all networks.

    Args:
        subject: `AuditSubject`.
        seed: int, of the refused rows that it is taken from.

    Returns:
        float, in log odds; 1 where there are no networks trained alike.
    """
    if not subject.networks:
        return ALONE
    rule, columns = decision_rule(subject), levers(subject)
    denied = rule.scores(subject.test.logits) < rule.threshold
    inputs = subject.test.inputs[draw_units(subject.test.units, denied, ROWS, seed=seed)]
    score = rule.scorer(subject.predict)
    for margin in MARGINS:
        state = write_out(inputs, search(score, inputs, columns, rule.threshold + margin), columns)
        reached = score(state) >= rule.threshold
        if reached.any() and _passes(subject, rule, state[reached]).mean() >= HOLD:
            return margin
    return MARGINS[-1]


def _passes(subject, rule, inputs):
    """Whether rows pass on all other networks: bool [rows]."""
    passes = np.ones(len(inputs), bool)
    for predict in subject.networks:
        passes &= rule.scorer(predict)(inputs) >= rule.threshold
    return passes


@dataclass(frozen=True)
class Counterfactual:
    """A change that turns a refusal, or none.

    Args:
        word: FOUND, FRAGILE or NONE.
        changes: tuple of dict of column, before and after, as written out.
        cost: float, in median deviations of the columns, a category 1.
        probability: float, of the favourable class, for the row as it is written out.
        margin: float, in log odds, that the search aimed at.
        is_plausible: bool, whether the row lies no farther from others than real rows do.
        networks: int, networks trained alike on which it was tried.
    """

    word: str
    changes: tuple = ()
    cost: float = 0.0
    probability: float = float("nan")
    margin: float = ALONE
    is_plausible: bool = False
    networks: int = 0


def counterfactuals(subject, rows, *, seed, margin=None):
    """Changes of actionable columns that turn refusals.

    Args:
        subject: `AuditSubject` with a decision.
        rows: int [rows], refused ones.
        seed: int.
        margin: float, in log odds; None: as of `choose_margin`.

    Returns:
        list of `Counterfactual`.
    """
    rule, columns = decision_rule(subject), levers(subject)
    margin = choose_margin(subject, seed=derive_seed(seed, "margin")) if margin is None else margin
    inputs, score = subject.test.inputs[rows], rule.scorer(subject.predict)
    state = write_out(inputs, search(score, inputs, columns, rule.threshold + margin), columns)
    scores, holds = score(state), _passes(subject, rule, state)
    neighbours = neighbourhood(subject.test.inputs, subject.test.units, seed=derive_seed(seed, "neighbours"))
    usual, costs = (
        neighbours.is_plausible(state),
        total_cost(columns, inputs, state) if columns else np.zeros(len(rows)),
    )
    none = Counterfactual(NONE, margin=margin, networks=len(subject.networks))
    results = []
    for place in range(len(rows)):
        if not scores[place] >= rule.threshold:
            results.append(none)
            continue
        # What was rounded away from the row may lie above the goal; what passes by less than the margin may fail elsewhere.
        is_held = holds[place] and scores[place] >= rule.threshold + margin - 1e-6
        results.append(
            replace(
                none,
                word=FOUND if is_held else FRAGILE,
                changes=_changes(columns, inputs[place], state[place]),
                cost=float(costs[place]),
                probability=float(expit(scores[place])),
                is_plausible=bool(usual[place]),
            )
        )
    return results


def _changes(columns, before, after):
    """Columns that differ: tuple of dict."""
    return tuple(
        {"column": lever.name, "before": lever.cell(old), "after": lever.cell(new)}
        for lever in columns
        if not np.array_equal(old := before[list(lever.places)], new := after[list(lever.places)])
    )
