# A nested grid, results into a dict
# parallel

# %% setup
import numpy as np

def settle(pressure, heat, size=60, steps=320):
    field = np.zeros((size, size))
    field[0] = heat
    for _ in range(steps):
        field[1:-1, 1:-1] = pressure * (field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:]) / 4
    return float(field.mean())

# %% cell
table = {}
for pressure in np.linspace(0.5, 1.0, 14):
    for heat in np.linspace(1, 10, 20):
        table[round(float(pressure), 3), round(float(heat), 3)] = settle(pressure, heat)
hottest = max(table.values())

# %% joblib
from itertools import product
from joblib import Parallel, delayed
pairs = list(product(np.linspace(0.5, 1.0, 14), np.linspace(1, 10, 20)))
means = Parallel(n_jobs=JOBS)(delayed(settle)(p, h) for p, h in pairs)
table = {(round(float(p), 3), round(float(h), 3)): m for (p, h), m in zip(pairs, means)}
hottest = max(table.values())
