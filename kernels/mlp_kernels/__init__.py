"""Tiled kernels for multi-layer perceptrons, one idea a file, the plain reference beside the fast one.

Importing this package loads nothing: take what you need from its modules, for example
`from mlp_kernels.cpu.gemm import gemm`. They need NumPy, SciPy and Numba and know nothing of models.
"""
