"""The one loop: home's walk through the cell, with workers ahead of it."""
