"""Matrix kernels for CPUs: a ladder from the naive triple loop to a fused register tile.

Start with `naive`, then read `tiled`, `packed`, `register_tile`, `fused`; `gemm` is the entry for callers.
Kernels are compiled on their first call and kept on disk.
"""
