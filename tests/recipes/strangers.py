"""Explainers of a stranger, known to the lab by "module:function" alone."""

import numpy as np

import lab


def good(network, inputs, objective):
    return lab.gradient(network, inputs, objective)


def blind(network, inputs, objective):
    return np.abs(inputs) + 0.5
