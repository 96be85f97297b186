"""Kernels for NVIDIA GPUs: a ladder of matrix products, from one thread an element to tensor cores, and training.

For the ladder start with `naive`, then read `coalesced`, `shared_tile`, `register_tile`, `warp_tile`, `tensor_core`;
`gemm` is the entry for callers. `device` holds what kernels are written with, `availability` says whether they can
run here.

For training start with `network`, the tables, and `phases`, a step. What a phase consists of is in `products`,
`operations` (with `activations` and `dropout`), `losses` and `updates`; how its phases are run is in `block_network`
(with `shuffling`), `grid_network`, `launched_network` and `matrix_network`, whose launches `graphs` records.
"""
