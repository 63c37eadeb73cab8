"""Builds many related OCI images of a monorepo, and only what changed.

This package imports nothing, so that a build with nothing to do starts fast.
"""

__version__ = "0.1.0"
