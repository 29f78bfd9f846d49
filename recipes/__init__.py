"""Recipes, jobs, files, reports and the `lab` command: the only floor that knows all the others."""
