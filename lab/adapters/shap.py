"""SHAP's exact values of tree ensembles (`pip install 'interpretability-lab[shap]'`), for functions that are a method of one.

network = lab.function(forest.predict_proba, frame)
lab.explain(network, rows, method="shap.interventional_trees")
"""

import numpy as np

from lab.attribution import explainers
from lab.attribution.paths import baselines, stack_baselines
from lab.refusal import Refused, describe

# How far values may be off their sum, as a share of the range of the scores.
EXACT = 1e-3


@explainers.register(library="shap", needs="trees", complete=baselines, cost=lambda network, options: 1)
def interventional_trees(network, inputs, objective, *, references=0.0):
    """SHAP's TreeExplainer, interventional: columns that are not there have values of other rows (Lundberg et al. 2020, https://arxiv.org/abs/1905.04610).

    It says what the model does when a column alone is set. `exact_shapley(baselines=references)` gives the same.

    Args:
        inputs: rows of a table.
        references: float [rows, columns], whose values stand in the place of columns; 0: 64 rows of the network's background.

    Returns:
        signed float32 [rows, columns], in units of the score.

    Raises:
        Refused: for another objective than classes of the output, and where the values are not of the function's scores.
    """
    rows = np.asarray(stack_baselines(network.inputs(inputs), references), "float64")
    return _explain(network, inputs, objective, "interventional", rows)


@explainers.register(library="shap", needs="trees", cost=lambda network, options: 1)
def conditional_trees(network, inputs, objective):
    """SHAP's TreeExplainer by paths: columns that are not there follow each branch as often as rows did (Lundberg et al. 2020, https://arxiv.org/abs/1905.04610).

    It comes near to what the model does on average over rows that share the other columns. A column that the model never uses may
    have a value where others go with it, so that this answers another question than `interventional_trees`.

    Args:
        inputs: rows of a table.

    Returns:
        signed float32 [rows, columns], in units of the score. They add up to the score less the mean score of the rows that the trees
        were grown on.

    Raises:
        Refused: as of `interventional_trees`.
    """
    return _explain(network, inputs, objective, "tree_path_dependent", None)


def _explain(network, inputs, objective, kind, references):
    arrays = network.inputs(inputs)
    weights = _class_weights(network, objective, len(arrays))
    scores = network.model.scores(arrays)
    try:
        values, expected = _values(network.model.owner, arrays, kind, references)
    except Exception as error:
        # What it cannot explain, it says by exceptions of many types.
        raise Refused(f"Trees are explained as shap explains them. Received: {describe(error)}.") from error
    if references is not None:
        # shap leaves out what each class of an XGBoost model begins with.
        expected = network.model.scores(references).mean(axis=0)
    same = values.shape[-1] == scores.shape[1]
    gap = np.abs(values.sum(axis=1) + expected - scores).max() if same else np.inf
    if gap > EXACT * max(np.ptp(scores), np.abs(scores).max()):
        raise Refused(
            f"Values of trees add up to the scores of the function. Received: {network.name}, whose scores are no sums over trees, as the probabilities of boosted trees. Give what is summed, such as model.decision_function, functools.partial(model.predict, output_margin=True) of XGBoost, or raw_score=True of LightGBM. Or ask kernel_shap."
        )
    return np.einsum("rcu,ru->rc", values, weights).astype("float32")


def _values(model, rows, kind, references):
    """SHAP's values of what trees add up to: float64 [rows, columns, units], and the expected scores, float64 [units].

    Its values of a boosted model's probabilities are those of the sum, rescaled, and no Shapley values of the probability.
    """
    from shap import TreeExplainer

    explainer = TreeExplainer(model, references, feature_perturbation=kind, model_output="raw")
    values = np.asarray(explainer.shap_values(rows.astype("float64"), check_additivity=False), "float64")
    expected = np.atleast_1d(np.asarray(explainer.expected_value, "float64"))
    return values if values.ndim == 3 else values[..., None], expected


def _class_weights(network, objective, rows):
    """How much of each output an objective is: float64 [rows, units]."""
    (units,) = (shape[-1] for shape in network.outputs.values())
    weights = np.zeros((rows, units))
    for (weight, term), numbers in zip(objective.terms, objective.numbers(rows)):
        if term.kind not in ("logit", "class_score"):
            raise Refused(
                f"Trees are explained for the function's outputs. Received: {objective}. Give a class, or logits."
            )
        indices = np.broadcast_to(numbers[0], rows)
        if units == 1:
            # One unit speaks for the second class, and against the first one.
            weights[:, 0] += weight * (2 * indices - 1 if term.kind == "class_score" else 1)
        else:
            np.add.at(weights, (np.arange(rows), indices), weight)
    return weights
