# Drawing in the loop, of something dear
# parallel

# %% setup
%matplotlib inline
import numpy as np
import matplotlib.pyplot as plt

def orbit(r, transient=400_000, kept=200):
    x = 0.4
    for _ in range(transient):
        x = r * x * (1 - x)
    found = []
    for _ in range(kept):
        x = r * x * (1 - x)
        found.append(x)
    return found

# %% cell
fig, axes = plt.subplots(4, 5, figsize=(10, 6))
for ax, r in zip(axes.flat, np.linspace(2.9, 3.9, 20)):
    points = orbit(float(r))
    ax.plot(points, ".", markersize=1)
    ax.set_title(f"r = {r:.2f}")
plt.show()

# %% joblib
from joblib import Parallel, delayed
rs = np.linspace(2.9, 3.9, 20)
orbits = Parallel(n_jobs=JOBS)(delayed(orbit)(float(r)) for r in rs)
fig, axes = plt.subplots(4, 5, figsize=(10, 6))
for ax, r, points in zip(axes.flat, rs, orbits):
    ax.plot(points, ".", markersize=1)
    ax.set_title(f"r = {r:.2f}")
plt.show()
