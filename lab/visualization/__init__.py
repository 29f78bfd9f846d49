"""Activation maximization in three independent parts: a parameterization, transforms, and an objective to maximize."""
