"""Frozen values that the stages hand on to one another; this package imports no other stage."""
