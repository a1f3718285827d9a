"""Words of place in phrases: parsing, the published rectifier, and the choice among regions.

`parse` reads a phrase without any library; `released` repeats a published rule for comparison; `intended` scores
regions by what a phrase says about place. `split_prompts` makes it work for every method that finds instances.
"""

from wordmask.components.place.expression import Constraint, Expression, Ordinal, Relation, Side, Superlative
from wordmask.components.place.intended import Scored, intended
from wordmask.components.place.parser import parse
from wordmask.components.place.regions import RegionGeometry
from wordmask.components.place.released import DependencyTree, Entity, extract_entity, rectify, released, target_phrase

__all__ = [
    "Constraint",
    "DependencyTree",
    "Entity",
    "Expression",
    "Ordinal",
    "RegionGeometry",
    "Relation",
    "Scored",
    "Side",
    "Superlative",
    "extract_entity",
    "intended",
    "parse",
    "rectify",
    "released",
    "target_phrase",
]
