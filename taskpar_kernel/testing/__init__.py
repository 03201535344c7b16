"""Comparison of kernels: run a notebook under two of them, and tell every difference."""
