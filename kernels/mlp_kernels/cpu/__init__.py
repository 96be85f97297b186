"""Kernels for CPUs: a ladder from the naive triple loop to a fused register tile, and a training loop on that tile.

Start with `naive`, then read `tiled`, `packed`, `register_tile`, `fused`; `gemm` is the entry for callers. Of the
training loop read `network`, `frame` and `memory` first, which it is written in terms of, then `training_loop` and
`sections`, then `dense` and `operations`.
Kernels are compiled on their first call and kept on disk.
"""
