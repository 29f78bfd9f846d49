"""What a network masks stays as it is under the noise and the holes of every check."""

import keras
import numpy as np

import lab
from sanity import removal
from sanity.bound_explainer import BoundExplainer
from sanity.subject import Subject


def masked_subject():
    """A series network that passes over steps of zeros, and series whose last steps are such."""
    inputs = keras.Input((10, 2))
    steps = keras.layers.Masking(0.0)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.LSTM(4)(steps)))
    series = np.random.default_rng(0).normal(size=(5, 10, 2)).astype("float32")
    series[:, 7:] = 0
    return Subject(lab.load(model), series, lab.logit([0, 1, 2, 0, 1]), tuple("abcde"))


def test_noise_leaves_masked_steps_alone():
    subject = masked_subject()
    with_noise = BoundExplainer(lab.gradient, subject, 0, {}).noisy_inputs(3, noise=0.5)
    assert not with_noise[:, 7:].any() and (with_noise[:, :7] != subject.inputs[:, :7]).any()


def test_holes_leave_masked_steps_alone_whatever_fills_them():
    subject, rng = masked_subject(), np.random.default_rng(0)
    everywhere = np.ones((5, 10), bool)
    for fill in ("mean", "blur", "flip", "uniform"):
        filled = removal.fill_positions(subject, everywhere, fill, rng)
        assert not filled[:, 7:].any() and (filled[:, :7] != subject.inputs[:, :7]).any(), fill
