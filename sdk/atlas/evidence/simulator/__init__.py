"""Evidence that proves nothing: a quoting platform without any hardware, under a root of its own.

Everything in it is named for what it is.
"""
