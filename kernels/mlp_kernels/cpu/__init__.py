"""Tiled Numba kernels for CPUs."""
