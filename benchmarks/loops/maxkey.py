# `max(..., key=...)` with a dear key
# parallel

# %% setup
import numpy as np

points = np.random.default_rng(8).normal(size=(8000, 2))

def separation(angle):
    direction = np.array([np.cos(angle), np.sin(angle)])
    shadow = np.sort(points @ direction)
    gaps = [float(np.abs(shadow - s).sum()) for s in shadow[::4]]
    return max(gaps) - min(gaps)

angles = np.linspace(0, 3.14, 90).tolist()

# %% cell
best = max(angles, key=separation)
print(f"{best:.3f}")

# %% joblib
from joblib import Parallel, delayed
best = max(zip(Parallel(n_jobs=JOBS)(delayed(separation)(a) for a in angles), angles), key=lambda p: p[0])[1]
print(f"{best:.3f}")
