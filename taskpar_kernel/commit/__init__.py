"""Pure: an outcome that was judged good comes in, the namespace is what running it would have made."""
