"""What runs inside a subkernel; it imports `model`, `transport`, `errors`, `settings` and nothing else."""
