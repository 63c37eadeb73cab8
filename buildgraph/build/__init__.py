"""The composition root: requests in, summaries out. Everything concrete is put together here and nowhere else."""
