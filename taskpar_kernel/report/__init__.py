"""Observers of a finished run; nothing depends on them."""
