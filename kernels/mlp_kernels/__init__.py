"""Tiled Numba kernels, one idea a file, the plain reference beside the fast version."""
