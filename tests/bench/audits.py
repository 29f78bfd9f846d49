"""Audits: what the questions of an audit compute, beside fairlearn and scikit-learn on the same rows and draws."""

import numpy as np
from sklearn.inspection import permutation_importance
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, permutation_test_score

from sanity.audit.factors import Factor
from sanity.audit.importance import REPEATS as EXCHANGES
from sanity.audit.importance import loss_importance
from tests.audit_worlds import groups, measures, reasons, shifts
from tests.bench import clock
from tests.bench.table import Figure, Row, benchmarks

DRAWS = 199
GAPS = Row(
    f"gaps of eight groups, four rates, {DRAWS} exchanges",
    f"MetricFrame of fairlearn, {DRAWS} bootstraps",
    1.0,
    "fairlearn",
)
FACTORS = Row("importance of eight factors", "permutation_importance of scikit-learn", 1.0, "sklearn")
SHIFT = Row(f"four eyes on a shift, {DRAWS} exchanges", "permutation_test_score of scikit-learn", 1.0, "sklearn")


@benchmarks.register(rows=(GAPS, FACTORS, SHIFT), repeats=9)
def audits(network, repeats):
    """Audit: 2,220 rows in groups, 4,000 rows of eight factors, and 800 rows of thirty columns, which one ridge sees beside."""
    tasks = {**factor_tasks(), **shift_tasks()}
    rows = (FACTORS, SHIFT) if GAPS.missing else (GAPS, FACTORS, SHIFT)
    tasks |= {} if GAPS.missing else gap_tasks()
    seconds = clock.interleaved(tasks, repeats)
    return {
        row.name: Figure(seconds[row.measured] / seconds[row.beside], f"{seconds[row.measured]:.2f} s") for row in rows
    }


def gap_tasks():
    """Rates in groups, with what chance does to them: dict of name to callable."""
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score

    subject = groups.people(0)
    rates = (metrics.selection_rate, metrics.true_positive_rate, metrics.false_positive_rate, accuracy_score)
    rows = subject.test
    return {
        GAPS.measured: lambda: measures.gaps_of(subject, 0, DRAWS),
        GAPS.beside: lambda: metrics.MetricFrame(
            metrics={rate.__name__: rate for rate in rates},
            y_true=rows.labels,
            y_pred=rows.predicted,
            sensitive_features=rows.protected[0].values,
            n_boot=DRAWS,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        ),
    }


class Fitted:
    """A network of an audit as an estimator of scikit-learn."""

    def __init__(self, predict):
        self.predict_logits = predict

    def fit(self, rows, labels):
        return self

    def score(self, rows, labels):
        logits = self.predict_logits(rows)
        shifted = logits - logits.max(axis=1, keepdims=True)
        return (shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))).mean()


def factor_tasks():
    """How much the loss rises when a factor is exchanged, as often by both: dict of name to callable."""
    subject = reasons.additive(rows=4000)
    factors = [Factor(f"x{place}", (f"x{place}",), (place,)) for place in range(len(reasons.WEIGHTS))]
    network, rows = Fitted(subject.predict), subject.test
    return {
        FACTORS.measured: lambda: loss_importance(subject.predict, rows, factors, seed=0, draws=DRAWS),
        FACTORS.beside: lambda: permutation_importance(
            network, rows.inputs, rows.labels, n_repeats=EXCHANGES, random_state=0
        ),
    }


def shift_tasks():
    """Whether two times can be told apart, with as many exchanges: dict of name to callable."""
    subject = shifts.pair("means", 0)
    sides = [np.stack([column.values for column in rows.columns], axis=1) for rows in (subject.test, subject.current)]
    values, labels = np.concatenate(sides), np.repeat([0, 1], [len(side) for side in sides])
    return {
        SHIFT.measured: lambda: measures.shift_p(subject, 0, DRAWS),
        SHIFT.beside: lambda: permutation_test_score(
            RidgeClassifier(), values, labels, cv=StratifiedKFold(5), n_permutations=DRAWS, scoring="roc_auc"
        ),
    }
