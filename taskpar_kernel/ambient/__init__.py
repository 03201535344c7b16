"""Process-wide state that decides results: fingerprint it, capture it, restore it elsewhere."""
