"""Untrained networks beside a layer: planted layers that were taught a column or not, and slow computations of what is shown."""

import tomllib
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from lab.models import load
from sanity.audit import audit
from sanity.audit.answers import can_be_untrained, stack_untrained, untrained_activations, untrained_state
from sanity.audit.decoding import Problem, components, input_numbers
from sanity.audit.legitimate import design, list_contrasts
from sanity.audit.questions import count_untrained
from sanity.audit.rows import Column
from sanity.audit.sheet import Sheet
from sanity.checks.decodable import decodable
from sanity.verdict import judge
from tests import audit_files
from tests.audit_worlds.proxies import LEGITIMATE, SHEET, world
from tests.audit_worlds.untrained import subject_with


def problem_of(subject):
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    return Problem(contrast, subject.test, design(subject.test.take(contrast.places), [LEGITIMATE]), seed=0)


def beside(subject):
    (row,) = judge(decodable(subject, seed=0, draws=39, tries=2))
    return row.also["beside untrained networks"], next(iter(row.settings["tables"].values()))


def test_a_layer_that_was_taught_the_column_says_more_than_untrained_ones():
    words, _ = beside(subject_with(0, is_taught=True))
    assert words.startswith("the layer says more than they do, +0.") and words.endswith("This decides nothing.")


def test_a_layer_that_mixes_as_untrained_ones_do_is_not_said_to_say_more():
    leads = [problem_of(subject_with(seed, is_taught=False)).decode(19).lead for seed in range(12)]
    # Layers that are drawn differ among each other: some say more than three others, and some less.
    assert np.sign([lead.mean for lead in leads]).min() < 0 < np.sign([lead.mean for lead in leads]).max()
    assert abs(np.mean([lead.mean for lead in leads])) < 0.05
    assert problem_of(subject_with(0, is_taught=True)).decode(19).lead.low > 0.1


def test_areas_of_untrained_networks_are_those_of_a_ridge():
    subject = subject_with(1, is_taught=False)
    problem = problem_of(subject)
    decoded, fitted, members = problem.decode(19), problem.fitted, problem.contrast.members
    for place, values in enumerate(np.moveaxis(subject.test.untrained, 1, 0)):
        values = components(values)
        centred = members[fitted] - members[fitted].mean()
        model = Ridge(alpha=0.05 * fitted.sum(), fit_intercept=False).fit(values[fitted], centred)
        expected = roc_auc_score(members[~fitted], model.predict(values[~fitted]))
        assert decoded.untrained[place, 0] == pytest.approx(expected)
    assert decoded.lead.mean == pytest.approx(decoded.areas[0] - decoded.untrained[:, 1].mean())


def test_the_lead_is_by_unit():
    """Persons of four equal rows know no more than persons of one."""
    subject = subject_with(2, is_taught=True, rows=400)
    four = replace(subject, test=subject.test.take(np.repeat(np.arange(400), 4)))
    alone, repeated = (problem_of(persons).decode(9).lead for persons in (subject, four))
    assert repeated.mean == pytest.approx(alone.mean, abs=0.02)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_random_labels_of_clusters_are_learned_by_a_layer_that_holds_all_inputs_and_by_no_constant_one():
    subject = subject_with(3, is_taught=True)
    (row,) = [row for row in beside(subject)[1] if "random labels" in row["told from"]]
    assert 0.4 < row["area"] < 0.6
    few = np.repeat(np.random.default_rng(0).normal(size=(12, 12)), 100, axis=0)
    clustered = replace(subject.test, inputs=few + 0.01 * np.random.default_rng(1).normal(size=few.shape), features=few)
    assert problem_of(replace(subject, test=clustered)).decode(9).control > 0.65


def test_what_is_computed_of_pictures_and_texts_takes_the_place_of_inputs():
    values = np.array([1.0, np.nan, 3.0])
    columns = (Column("brightness", values, kind="statistic"), Column("camera", np.zeros(3), ("x",), "metadata"))
    rows = replace(world(0, "none", 200).test.take(np.arange(3)), columns=columns, inputs=None)
    assert input_numbers(rows).tolist() == [[1.0], [2.0], [3.0]]
    assert input_numbers(replace(rows, columns=columns[1:])) is None


def test_without_untrained_networks_nothing_is_claimed_of_them():
    words, table = beside(world(0, "encoded", 400))
    assert words.startswith("none was asked") and not any("untrained" in row["told from"] for row in table)


def test_untrained_networks_that_overflow_are_left_out():
    """Of inputs in thousands an exponential of drawn weights is infinite, and took all questions with it."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Rescaling(1e3), keras.layers.Dense(70, "exponential"), keras.layers.Dense(1, "sigmoid")]
    model, frame = keras.Sequential([keras.Input((3,)), *layers]), audit_files.many(400)
    model.layers[1].set_weights([1e-6 * value for value in model.layers[1].get_weights()])
    options = {"sheet": tomllib.loads(audit_files.SHEET), "questions": ["proxies"], "draws": 99, "tries": 4}
    words = [
        row.also["beside untrained networks"] for row in audit(model, frame, **options) if row.check == "decodable"
    ]
    assert words and all("none gave finite numbers" in text for text in words)
    finite, infinite = np.ones((5, 2), "float32"), np.full((5, 2), np.inf, "float32")
    assert stack_untrained([finite, infinite, finite]).shape == (5, 2, 2)


# The command's network ----------------------------------------------------------------------------------------------------


def table_network():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(6, "tanh"), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    return load(keras.Sequential([keras.Input((3,)), *layers]), as_table=True)


def test_untrained_activations_are_those_of_a_model_with_these_weights_and_the_network_is_left_as_it_was():
    network = table_network()
    inputs = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    before = {name: value.numpy().copy() for name, value in network.variables.items()}
    state = untrained_state(network, inputs[:16], 1, seed=0)
    hidden = untrained_activations(network, inputs, 2, state)
    assert all((value.numpy() == before[name]).all() for name, value in network.variables.items())
    with network.weights(state):
        first, second = network.model.layers[:2]
        expected = second(first(inputs), training=False).numpy()
    np.testing.assert_allclose(hidden, expected, atol=1e-5)
    other = untrained_activations(network, inputs, 2, untrained_state(network, inputs[:16], 2, seed=0))
    assert np.abs(other - hidden).max() > 0.1


def test_untrained_networks_are_asked_where_there_is_something_to_compare():
    network = table_network()
    assert can_be_untrained(network)
    assert count_untrained(["decodable", "proxy_use"], SHEET, network) == 3
    assert count_untrained(["slices"], SHEET, network) == 0 == count_untrained(["decodable"], Sheet(), network)


def test_python_asks_untrained_networks():
    subject = world(0, "encoded", 300)
    names = list(subject.input_places)
    frame = pd.DataFrame(dict(zip(names, subject.test.inputs.T)))
    frame = frame.assign(sex=np.where(subject.test.protected[0].values, "m", "f"), granted=subject.test.labels)
    roles = {name: {"roles": ["input", "legitimate"] if name == LEGITIMATE else ["input"]} for name in names}
    columns = roles | {"sex": {"roles": ["protected"]}, "granted": {"roles": ["label"]}}
    sheet = {"rows_are_units": True, "columns": columns}
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(2)])
    rows = audit(model, frame, sheet=sheet, questions=["proxies"], draws=99, tries=4)
    (row,) = [row for row in rows if row.check == "decodable"]
    names = [part["told from"] for part in next(iter(row.settings["tables"].values()))]
    assert [name for name in names if name.startswith("untrained network") and name[-1].isdigit()] == [
        f"untrained network {number}" for number in (1, 2, 3)
    ]
    assert "for 3 networks" in row.also["beside untrained networks"]
