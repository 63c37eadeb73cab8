"""The catalog as a table."""
