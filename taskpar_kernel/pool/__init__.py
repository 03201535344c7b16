"""Subkernel processes as seen from home: start, watch, feed, stop."""
