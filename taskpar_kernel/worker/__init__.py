"""What runs inside a subkernel; it imports `model`, `transport`, `ambient`, `errors`, `seed`, no more."""
