"""Dockerfiles: their text as typed values with exact positions, their words expanded, their paths matched and checked.

BuildKit's frontend is the reference. Everything here is pure and ends in time linear to the text's size, whatever the
text is; what cannot be used raises :class:`buildgraph.errors.UsageError`.
"""
