"""Pure: an outcome that was judged good comes in, and is written into the namespace."""
