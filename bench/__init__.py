"""Measures the data plane: `make bench` prints one table."""
