"""What the compiler makes of every kernel, found out without a GPU: PTX text, registers, spills.

`configurations` lists the kernels as they are launched, `compiler` makes PTX of them, `listings` counts its
instructions, `rules` says what is wrong with that; `python -m mlp_kernels.cuda.assembly` is the command.
"""
