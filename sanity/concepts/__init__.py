"""Concepts: what checks of concepts measure on. A study is arrays alone, so that whole families of null studies can be simulated."""

from sanity.concepts.sets import RandomSets, draw_sets
from sanity.concepts.study import Study, concept_row, measure_study

__all__ = ["RandomSets", "Study", "concept_row", "draw_sets", "measure_study"]
