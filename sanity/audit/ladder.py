"""Ladder: simple models, from a constant answer to an additive one with pairs, trained on the rows of a network.

Each rung is tuned by five folds of the training rows, whole units at a time, over as many candidates as every other one.
"""

import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from sanity.audit.descriptors import OF_PICTURES, WORDS, count_words
from sanity.audit.permutation import unit_folds
from sanity.audit.swaps import sample_units
from sanity.seeds import derive_seed
from sanity.threads import in_threads

FOLDS, BUDGET = 5, 4
# Training rows from which on several threads are worth their while.
MANY = 20_000
# Training rows at most whose folds choose settings, drawn by unit, and rows of other labels than the most frequent among them.
MOST_TUNED, OTHER_LABELS = 10_000, 100
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
    plain, hinged = Encoder(train), Encoder(train, hinged=True)
    tuned = tuning_rows(train, seed=seed)
    folds = np.full(len(train), -1)
    folds[tuned] = unit_folds(train.units[tuned], FOLDS, seed=derive_seed(seed, "folds"))
    data = _Data(train, test, folds, derive_seed(seed, "trained"))
    # Threads that wait for each other on a busy machine make a second of work on few rows a minute.
    with threadpool_limits(1 if len(train) < MANY else None), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Missing values detected")  # Of plots that are not drawn here.
        known = [name for name in names or rung_names(test) if _can_be_trained(name, train)]
        return [_train(name, data, plain, hinged, budget) for name in known]


def _can_be_trained(name, train):
    return name not in DESCRIBED or DESCRIBED[name] in train.descriptors


def tuning_rows(train, *, seed):
    """The training rows whose folds choose settings: all, or of very many some by unit. Models are trained on all.

    Where nearly all rows have one label there are more of them, or folds without another label would choose.

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
    """Rows of training and test; folds of the training rows, int [rows], -1 for those that choose no settings; a seed."""

    train: object
    test: object
    folds: np.ndarray
    seed: int

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
        """Mean loss over the folds of the training rows: float."""
        total, tuned = 0.0, self.folds >= 0
        for fold in np.unique(self.folds[tuned]):
            held = self.folds == fold
            rest = tuned & ~held
            if not rest.any():
                return 0.0
            answers = self.answers(build(), numbers[rest], rest, numbers[held])
            total += losses(self.train.labels[held], answers)[-1].sum()
        return total / tuned.sum()


def _train(name, data, plain, hinged, budget):
    if name == COLUMN:
        return _train_column(data, plain)
    if name in DESCRIBED:
        numbers = [rows.descriptors[DESCRIBED[name]] for rows in (data.train, data.test)]
        return _tune(name, data, *numbers, _CANDIDATES[name][:budget], None)
    is_glass = name in (ADDITIVE, PAIRS) and takes_boosting(data.train)
    encoder = hinged if name == ADDITIVE and not is_glass else plain
    first, second = (_raw(rows) if is_glass else encoder.matrix(rows) for rows in (data.train, data.test))
    kinds = ["nominal" if column.is_category else "continuous" for column in model_columns(data.train)]
    settings = list(_CANDIDATES[name] if not (name == ADDITIVE and is_glass) else SHAPES)[:budget]
    return _tune(name, data, first, second, settings, kinds if is_glass else None)


def _tune(name, data, first, second, settings, kinds):
    """The rung with the settings of the least loss on held-out folds."""
    options = {"seed": data.seed, "classes": data.classes, "kinds": kinds}

    def build(setting, final=False):
        return _estimator(name, setting, is_final=final, **options)

    def loss(setting):
        return data.held_out_loss(lambda: build(setting), first) if settings[1:] else 0

    taken = settings[int(np.argmin(in_threads(loss, settings)))]
    answers = data.answers(build(taken, final=True), first, np.ones(len(first), bool), second)
    return Rung(name, name != BOOSTED, len(settings), taken, answers)


def _train_column(data, plain):
    """A tree of depth three on the column whose tree has the least loss on held-out folds: `Rung`."""
    parts = list(zip(plain.parts, plain.encode(data.train), plain.encode(data.test)))

    def build():
        kind = DecisionTreeRegressor if data.classes is None else DecisionTreeClassifier
        return kind(max_depth=3, min_samples_leaf=20, random_state=0)

    scores = [data.held_out_loss(build, first) for _, first, _ in parts]
    part, first, second = parts[int(np.argmin(scores))]
    answers = data.answers(build(), first, np.ones(len(first), bool), second)
    return Rung(COLUMN, True, len(parts), {"column": part.name}, answers)


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
    if name == TREE:
        kind = DecisionTreeRegressor if is_regression else DecisionTreeClassifier
        return kind(max_depth=4, random_state=0, **setting)
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
