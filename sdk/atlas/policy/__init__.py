"""The policy: what is required of a lineage.

`schema` and `evidence` are the file's form; `evaluate` judges by it, `attested` judges evidence, and `parameters` what
steps were given.
"""

from atlas.policy.evaluate import evaluate, relied_on
from atlas.policy.schema import Policy, default_policy, load_policy, with_references

__all__ = ["Policy", "default_policy", "evaluate", "load_policy", "relied_on", "with_references"]
