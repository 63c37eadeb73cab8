"""Images in registries: a client of the OCI distribution specification, its settings and its credentials."""
