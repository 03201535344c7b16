"""Pure: an outcome and what home has now come in, a verdict goes out."""
