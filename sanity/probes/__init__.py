"""Probes: what a layer holds of labels, beside control tasks, untrained networks and the inputs themselves.

label_sets     labels of some inputs, with the groups that stay together
control_tasks  labels that mean nothing, one a type of input
baselines      the inputs as rows of numbers
encoding       what one layer holds of one label set
use            what the scores do when that is erased
dissection     single units beside labels, against labels that were exchanged
"""
