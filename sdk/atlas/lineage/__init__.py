"""The lineage: artifacts and steps linked by digest, built from manifests that are verified one by one.

`facts` verifies a manifest with its receipt, `walk` follows the links to a `graph`, `standing` says what a revocation
leaves of them. `picture` is what `render` and `svg` draw (`layout`: where); `attested` says in words
who vouches for a step's machine.
"""

from atlas.lineage.facts import Facts, Source, establish
from atlas.lineage.graph import Edge, Lineage, Node, Origin
from atlas.lineage.walk import build

__all__ = ["Edge", "Facts", "Lineage", "Node", "Origin", "Source", "build", "establish"]
