"""Evidence that a step ran in a confidential pod (RATS: Evidence), how a step gets it and how it is appraised.

`binding` ties evidence to one key, one statement and one attempt; `document` is the form in which a manifest carries
it; `appraise` holds a document against a trust root. `tdx` knows Intel's quotes, `nvidia` those of GPUs. What touches
the machine or the network stays apart: `providers` ask a trust domain for evidence, `fetch` asks for collateral.
`simulator` makes evidence that proves nothing, under a root of its own.
"""
