"""Random programs under two kernels: `python -m taskpar_kernel.testing.differential`.

Theory of operation. A *hazard* is a fragment of code of a kind that is hard to run out of order. A
*program* is made of a seed alone: a few cells, in each of which fragments of several hazards, which
share names, are interleaved with plain work. It runs under python3 once, and under taskpar in each
mode asked for; everything a user could see is compared. Kernels live on from program to program. A
difference is shrunk to the fewest lines that still show it.
"""
