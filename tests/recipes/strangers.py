"""Explainers of a stranger, known to the lab by "module:function" alone."""

import numpy as np

import lab


def good(network, inputs, objective):
    return lab.gradient(network, inputs, objective)


def blind(network, inputs, objective):
    return np.abs(inputs) + 0.5


def broken(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    maps[0, 2, 3] = np.nan
    return maps
