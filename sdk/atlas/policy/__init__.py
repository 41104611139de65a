"""The policy: what is required of a lineage. `schema` is the file's form, `evaluate` judges."""

from atlas.policy.evaluate import evaluate, relied_on
from atlas.policy.schema import Policy, default_policy, load_policy

__all__ = ["Policy", "default_policy", "evaluate", "load_policy", "relied_on"]
