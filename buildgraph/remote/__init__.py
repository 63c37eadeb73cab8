"""Records of steps that several machines share."""
