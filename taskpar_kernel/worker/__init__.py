"""What runs inside a subkernel; imports `model`, `transport`, `ambient`, `errors`, `seed` only."""
