"""Cell text comes in, a stream of statement instances goes out."""
