"""Instrument in Python: one import, one line. The compiled file runs on any KFP 2 installation that has atlas-run."""

from kfp import compiler
from pipeline import digits

from atlas_components import instrument

compiler.Compiler().compile(instrument(digits), "digits.yaml")
