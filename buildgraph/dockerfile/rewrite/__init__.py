"""A converted Dockerfile written as a Buildfile that a person can go on with."""
