"""The catalog as a page."""
