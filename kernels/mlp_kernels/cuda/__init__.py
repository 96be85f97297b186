"""Matrix kernels for NVIDIA GPUs: a ladder from one thread an element to tensor cores.

Start with `naive`, then read `coalesced`, `shared_tile`, `register_tile`, `warp_tile`, `tensor_core`; `gemm` is the
entry for callers. `device` holds what they are written with, `availability` says whether they can run here.
"""
