"""Ladder: simple models, from a constant answer to an additive one with pairs, trained on the rows of a network.

Each rung is tuned by five folds of the training rows, whole units at a time, over as many candidates as every other one. Of very
many rows some are drawn, and a third of these is held out once, in a fifth of the time, where it is large and has every label.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sanity.audit.descriptors import OF_PICTURES, WORDS, count_words
from sanity.audit.permutation import unit_folds
from sanity.audit.swaps import sample_units
from sanity.seeds import derive_seed
from sanity.threads import in_threads

FOLDS, BUDGET = 5, 4
# Training rows at most that choose settings, drawn by unit, the parts that they are cut into where they are drawn, one of which is
# held out, and rows of other labels than the most frequent among them.
MOST_TUNED, PARTS, OTHER_LABELS = 15_000, 3, 150
# A probability below this counts as this, so that one certain mistake does not outweigh all rows.
LOWEST = 1e-6
# Inner points at which the slope of an additive model may change.
KNOTS = 7
# Columns that boosting machines take at most: of 202 columns and 600 rows they and their pairs take minutes.
MOST_COLUMNS = 50
ALL = "all simple models"
CONSTANT, COLUMN, LINEAR, TREE, ADDITIVE, PAIRS, BOOSTED = (
    "constant answer",
    "best single column",
    "linear model",
    "tree of depth 4",
    "additive model",
    "additive model with pairs",
    "boosted trees",
)
# Linear models of what is computed of a picture or a text, by what they take.
DESCRIBED = {f"linear model of {name}": name for name in (*OF_PICTURES, WORDS)}
STRENGTHS = tuple({"C": strength} for strength in (0.1, 1.0, 0.01, 10.0))
WEAK_STRENGTHS = tuple({"C": strength} for strength in (0.001, 0.01, 0.0001, 0.1))
WORD_STRENGTHS = tuple({"C": strength} for strength in (1.0, 10.0, 0.1, 100.0))
LEAVES = tuple({"min_samples_leaf": rows} for rows in (20, 5, 60, 150))
BOOSTS = tuple(
    {"learning_rate": rate, "max_leaf_nodes": leaves} for rate, leaves in ((0.1, 8), (0.1, 31), (0.03, 31), (0.03, 8))
)
# The first of each is what small budgets use.
SHAPES = tuple({"max_leaves": leaves, "min_samples_leaf": rows} for leaves, rows in ((2, 4), (3, 4), (2, 20), (3, 20)))


@dataclass(frozen=True)
class Rung:
    """A trained model of the ladder.

    Args:
        name: str.
        is_simple: bool, False for what only says how much can be reached.
        candidates: int, settings that were compared.
        settings: dict, those that were taken.
        answers: of classes float64 [rows, classes], probabilities; of a regression float64 [rows].
    """

    name: str
    is_simple: bool
    candidates: int
    settings: dict
    answers: np.ndarray


def has_pairs():
    """Whether interpret is installed, which the additive model with pairs needs: bool."""
    spec = importlib.util.find_spec("interpret")
    # A folder of that name without code is no library.
    return spec is not None and spec.origin is not None


def takes_boosting(rows):
    """Whether additive models are boosting machines, which need interpret and few columns: bool.

    Args:
        rows: `Rows`.
    """
    return has_pairs() and len(model_columns(rows)) <= MOST_COLUMNS


def left_out(rows):
    """What is smaller than it could be, or not tried, and why: dict of rung to str.

    Args:
        rows: `Rows`, with the answers of the network.
    """
    if rows.logits.shape[1] > 2:
        pairs = "not tried; it is for two classes or a regression"
    else:
        pairs = "not tried; pip install 'interpretability-lab[audit]' for two classes or a regression"
    count = len(model_columns(rows))
    if count <= MOST_COLUMNS:
        return {} if PAIRS in rung_names(rows) else {PAIRS: pairs}
    many = f"these are {count} columns, and boosting machines take {MOST_COLUMNS} at most"
    additive = {ADDITIVE: f"a linear model whose slopes change, no boosting machine; {many}"} if has_pairs() else {}
    return {**additive, PAIRS: f"not tried; {many}"}


def rung_names(rows):
    """The rungs that can be trained, from the simplest on: list of str.

    Args:
        rows: `Rows`, with the answers of the network.
    """
    pairs = takes_boosting(rows) and rows.logits.shape[1] <= 2
    described = [rung for rung, name in DESCRIBED.items() if name in rows.descriptors]
    return [CONSTANT, COLUMN, LINEAR, *described, TREE, ADDITIVE, *([PAIRS] if pairs else []), BOOSTED]


def class_places(rows):
    """The classes of labelled rows: int [classes]."""
    return np.unique(rows.labels[rows.labelled])


def model_columns(rows):
    """What a simple model takes: the inputs of a table, or what is computed of a picture, text or series.

    Activations of the network are left out, since a model that needs the network is no simpler one.

    Args:
        rows: `Rows`.

    Returns:
        list of `Column`.
    """
    inputs = [column for column in rows.columns if column.kind == "input"]
    return inputs or [column for column in rows.columns if column.kind == "statistic"]


class Encoder:
    """Columns as numbers for a model, by what the training rows hold.

    Args:
        rows: `Rows`, those of training.
        hinged: bool, whether a number may change its slope at seven points.
    """

    def __init__(self, rows, hinged=False):
        self.parts = [_CategoryPart(c) if c.is_category else _NumberPart(c, hinged) for c in model_columns(rows)]

    def encode(self, rows):
        """The columns of other rows.

        Args:
            rows: `Rows`.

        Returns:
            list of float64 [rows, numbers of the column].
        """
        columns = {column.name: column for column in rows.columns}
        return [part.encode(columns[part.name]) for part in self.parts]

    def matrix(self, rows):
        """The columns of other rows beside each other: float64 [rows, numbers]."""
        return np.concatenate([np.zeros((len(rows), 1)), *self.encode(rows)], axis=1)


class _NumberPart:
    def __init__(self, column, hinged):
        self.name, values = column.name, column.values[np.isfinite(column.values)]
        self.mean = values.mean() if len(values) else 0.0
        self.scale = values.std() if len(values) else 0.0
        self.has_missing = len(values) < len(column.values)
        quantiles = np.quantile(values, np.arange(1, KNOTS + 1) / (KNOTS + 1)) if hinged and len(values) else ()
        self.knots = np.unique([self._scaled(value) for value in quantiles])

    def _scaled(self, values):
        return (values - self.mean) / self.scale if self.scale > 1e-12 * max(1, abs(self.mean)) else 0 * values

    def encode(self, column):
        known = np.isfinite(column.values)
        scaled = self._scaled(np.where(known, column.values, self.mean))
        hinges = [np.maximum(scaled - knot, 0) for knot in self.knots]
        return np.stack([scaled, *hinges, *([~known * 1.0] if self.has_missing else [])], axis=1)


class _CategoryPart:
    def __init__(self, column):
        self.name, self.levels = column.name, column.levels

    def encode(self, column):
        known = np.isfinite(column.values)
        places = np.where(known, column.values, 0).astype(int)
        names = np.array([*column.levels], object)[places]
        return np.stack([(names == level) & known for level in self.levels], axis=1).astype("float64")


def train_ladder(train, test, *, seed, budget=BUDGET, names=None):
    """Train every rung and let it answer the test rows.

    Args:
        train: `Rows`, labelled, those that the network was trained on.
        test: `Rows`.
        seed: int.
        budget: int, candidates of each rung that are compared.
        names: list of str, the rungs; None: all that can be trained.

    Returns:
        list of `Rung`.
    """
    train = train.take(train.labelled)
    folds, held = _cut(train, tuning_rows(train, seed=seed), derive_seed(seed, "folds"))
    data = _Data(train, test, folds, held, derive_seed(seed, "trained"))
    known = [name for name in names or rung_names(test) if _can_be_trained(name, train)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Missing values detected")  # Of plots that are not drawn here.
        return _train([_plan(name, data, budget) for name in known], data)


def _cut(train, tuned, seed):
    """Folds of the training rows, and how many are held out: int [rows], -1 for those that choose no settings, and int."""
    folds = np.full(len(train), -1)
    folds[tuned] = unit_folds(train.units[tuned], PARTS, seed=seed)
    if len(tuned) < len(train) and _stands_for_all(train.labels, folds):
        return folds, 1
    folds[tuned] = unit_folds(train.units[tuned], FOLDS, seed=seed)
    return folds, FOLDS


def _stands_for_all(labels, folds):
    """Whether the first part has half of its share of the most rows at least, and every label: one large unit leaves few."""
    held, tuned = labels[folds == 0], labels[folds >= 0]
    has_all = labels.dtype.kind == "f" or len(np.unique(held)) == len(np.unique(tuned))
    return len(held) >= MOST_TUNED / (2 * PARTS) and has_all


def _can_be_trained(name, train):
    return name not in DESCRIBED or DESCRIBED[name] in train.descriptors


def tuning_rows(train, *, seed):
    """The training rows that choose settings: all, or of very many some by unit. Models are trained on all.

    Where nearly all rows have one label there are more of them, or parts without another label would choose.

    Args:
        train: `Rows`, labelled.
        seed: int.

    Returns:
        int [rows that are kept], in their order.
    """
    most = MOST_TUNED
    if train.labels.dtype.kind != "f":
        others = len(train) - np.unique(train.labels, return_counts=True)[1].max(initial=0)
        most = max(most, int(np.ceil(OTHER_LABELS * len(train) / max(others, 1))))
    return sample_units(train.units, seed=derive_seed(seed, "tuned"), rows=most)


@dataclass(frozen=True)
class _Data:
    """Rows of training and test; folds of the training rows, int [rows], -1 for those that choose no settings; how many of them are
    held out, each once; and a seed.
    """

    train: object
    test: object
    folds: np.ndarray
    held: int
    seed: int

    @cached_property
    def matrices(self):
        return _encode(Encoder(self.train), self)

    @cached_property
    def columns(self):
        """Where the numbers of each column lie in the matrices: dict of name to slice."""
        encoder = Encoder(self.train)
        widths = [numbers.shape[1] for numbers in encoder.encode(self.train.take(np.arange(1)))]
        ends = 1 + np.cumsum(widths)
        return {part.name: slice(end - width, end) for part, width, end in zip(encoder.parts, widths, ends)}

    @cached_property
    def raw(self):
        return _raw(self.train), _raw(self.test)

    @property
    def classes(self):
        return None if self.test.is_regression else self.test.logits.shape[1]

    def answers(self, estimator, first, rows, second):
        """Answers for the numbers `second` of an estimator that is trained on some rows with the numbers `first`."""
        labels = self.train.labels[rows]
        if self.classes is None:
            constant = estimator is None or len(np.unique(labels)) < 2
            return np.full(len(second), labels.mean()) if constant else estimator.fit(first, labels).predict(second)
        answers, present = np.zeros((len(second), self.classes)), np.unique(labels)
        if estimator is None or len(present) < 2:
            answers[:] = np.bincount(labels, minlength=self.classes) / len(labels)
        else:
            answers[:, present] = estimator.fit(first, labels).predict_proba(second)
        return answers

    def held_out_loss(self, build, numbers):
        """Mean loss over the held-out folds of the training rows: float."""
        total, tuned = 0.0, self.folds >= 0
        folds = np.unique(self.folds[tuned])[: self.held]
        for fold in folds:
            held = self.folds == fold
            rest = tuned & ~held
            if not rest.any():
                return 0.0
            answers = self.answers(build(), numbers[rest], rest, numbers[held])
            total += losses(self.train.labels[held], answers)[-1].sum()
        return total / np.isin(self.folds, folds).sum()


@dataclass(frozen=True)
class _Plan:
    """What is tried of a rung: its name, its settings, the kinds of its columns where they are boosted, and its numbers of
    training and test rows, a function of a setting.
    """

    name: str
    settings: list
    kinds: list | None
    numbers: Callable

    def build(self, data, setting, is_final=False):
        options = {"seed": data.seed, "classes": data.classes, "kinds": self.kinds, "is_final": is_final}
        return _estimator(self.name, setting, **options)

    def loss(self, data, setting):
        """The mean loss of a setting on held-out folds, where there are others: float."""
        if not self.settings[1:]:
            return 0.0
        return data.held_out_loss(lambda: self.build(data, setting), self.numbers(setting)[0])

    def rung(self, data, setting):
        """The model of a setting, trained on all rows: `Rung`."""
        first, second = self.numbers(setting)
        estimator = self.build(data, setting, is_final=True)
        answers = data.answers(estimator, first, np.ones(len(first), bool), second)
        return Rung(self.name, self.name != BOOSTED, len(self.settings), setting, answers)


def _plan(name, data, budget):
    """What is tried of a rung with the numbers that it takes: `_Plan`."""
    if name == COLUMN:
        settings = [{"column": column} for column in data.columns]
        return _Plan(
            name,
            settings,
            None,
            lambda setting: [matrix[:, data.columns[setting["column"]]] for matrix in data.matrices],
        )
    settings = list(_CANDIDATES[name])[:budget]
    if name in DESCRIBED:
        numbers = [rows.descriptors[DESCRIBED[name]] for rows in (data.train, data.test)]
        return _Plan(name, settings, None, lambda setting: numbers)
    if name in (ADDITIVE, PAIRS) and takes_boosting(data.train):
        kinds = ["nominal" if column.is_category else "continuous" for column in model_columns(data.train)]
        return _Plan(name, list(SHAPES)[:budget], kinds, lambda setting: data.raw)
    numbers = _encode(Encoder(data.train, hinged=True), data) if name == ADDITIVE else data.matrices
    return _Plan(name, settings, None, lambda setting: numbers)


def _train(plans, data):
    """The rungs, each with the settings of the least loss on held-out folds: list of `Rung`."""
    # The last rungs take longest, and begin first, so that no thread waits for one of them at the end.
    tried = [(plan, setting) for plan in plans for setting in plan.settings][::-1]
    means = iter(in_threads(lambda pair: pair[0].loss(data, pair[1]), tried)[::-1])
    of_plans = [[next(means) for _ in plan.settings] for plan in plans]
    taken = [(plan, plan.settings[int(np.argmin(values))]) for plan, values in zip(plans, of_plans)][::-1]
    return in_threads(lambda pair: pair[0].rung(data, pair[1]), taken)[::-1]


def _encode(encoder, data):
    return encoder.matrix(data.train), encoder.matrix(data.test)


def _raw(rows):
    return np.stack([column.values for column in model_columns(rows)], axis=1)


def _estimator(name, setting, *, seed, classes, kinds, is_final):
    is_regression = classes is None
    if kinds is not None:
        from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

        kind = ExplainableBoostingRegressor if is_regression else ExplainableBoostingClassifier
        bags = {"outer_bags": 4 if is_final else 1, "learning_rate": 0.05, "n_jobs": 1, "random_state": seed % 2**31}
        return kind(feature_types=kinds, interactions=0 if name == ADDITIVE else 10, **bags, **setting)
    if name in (LINEAR, ADDITIVE, *DESCRIBED):
        # Newton's steps are few where there are two classes and more rows than columns.
        solver = "newton-cholesky" if classes == 2 and name not in DESCRIBED else "lbfgs"
        logistic = LogisticRegression(C=setting["C"], max_iter=1000, solver=solver)
        linear = Ridge(1 / setting["C"]) if is_regression else logistic
        if name not in DESCRIBED:
            return linear
        return make_pipeline(count_words() if DESCRIBED[name] == WORDS else StandardScaler(), linear)
    if name in (COLUMN, TREE):
        kind = DecisionTreeRegressor if is_regression else DecisionTreeClassifier
        shape = setting if name == TREE else {"min_samples_leaf": 20}
        return kind(max_depth=4 if name == TREE else 3, random_state=0, **shape)
    if name == BOOSTED:
        kind = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
        return kind(early_stopping=False, random_state=0, **setting)
    return None


_CANDIDATES = {CONSTANT: ({},), LINEAR: STRENGTHS, TREE: LEAVES, ADDITIVE: STRENGTHS, PAIRS: SHAPES, BOOSTED: BOOSTS}
_CANDIDATES |= {rung: WORD_STRENGTHS if name == WORDS else WEAK_STRENGTHS for rung, name in DESCRIBED.items()}


def loss_names(rows):
    """The losses of a network: tuple of str."""
    return ("squared error",) if rows.is_regression else ("accuracy", "log loss")


def losses(labels, answers):
    """What each row costs.

    Args:
        labels: int [rows] of classes, float [rows] of a regression.
        answers: probabilities float [rows, classes], or float [rows].

    Returns:
        list of float64 [rows]: 1 for another class than the label, and the log loss; of a regression the squared error.
    """
    if answers.ndim == 1:
        return [(answers - labels) ** 2]
    right = np.clip(answers[np.arange(len(labels)), labels], LOWEST, 1)
    return [(answers.argmax(axis=1) != labels).astype("float64"), -np.log(right)]
