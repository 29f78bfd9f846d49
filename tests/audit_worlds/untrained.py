"""Untrained: layers of two channels that were taught a stand-in, or mix all inputs as untrained ones do."""

from dataclasses import replace

import numpy as np

from tests.audit_worlds.proxies import world

NOISES = 20


def subject_with(seed, *, is_taught, rows=1200):
    """A layer of two channels, which hold the stand-in or mix all inputs as untrained ones do."""
    subject, rng = world(seed, "encoded", rows), np.random.default_rng([seed, 1])
    inputs = np.column_stack([subject.test.inputs, rng.normal(size=(rows, NOISES))])
    untrained = np.stack([np.tanh(inputs @ rng.normal(size=(inputs.shape[1], 2))) for _ in range(3)], axis=1)
    features = inputs[:, :2] if is_taught else np.tanh(inputs @ rng.normal(size=(inputs.shape[1], 2)))
    test = replace(subject.test, inputs=inputs, features=features, untrained=untrained)
    return replace(subject, test=test)
