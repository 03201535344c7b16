# A function with a loop inside
# parallel

# %% setup
import numpy as np

def walk(seed, steps=120_000):
    state, x, y, far = seed, 0, 0, 0
    for _ in range(steps):
        state = (1103515245 * state + 12345) % 2147483648
        if state & 65536:
            x += 1 if state & 131072 else -1
        else:
            y += 1 if state & 131072 else -1
        far = max(far, x * x + y * y)
    return far

def study(seeds):
    found = []
    for seed in seeds:
        far = walk(seed)
        found.append(far)
    return np.mean(found), np.std(found)

# %% cell
mean, spread = study(range(1, 31))
print(f"{mean:.1f} {spread:.1f}")

# %% joblib
from joblib import Parallel, delayed
found = Parallel(n_jobs=JOBS)(delayed(walk)(s) for s in range(1, 31))
mean, spread = np.mean(found), np.std(found)
print(f"{mean:.1f} {spread:.1f}")
