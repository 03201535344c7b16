# A loop-carried chain: each step needs the one before
# serial

# %% setup
import numpy as np

def diffuse(field, turns=180):
    for _ in range(turns):
        field = field + 0.1 * (np.roll(field, 1, 0) + np.roll(field, -1, 0) + np.roll(field, 1, 1) + np.roll(field, -1, 1) - 4 * field)
    return field

start = np.random.default_rng(9).random((150, 150))

# %% cell
field = start
means = []
for step in range(40):
    field = diffuse(field)
    means.append(float(field.std()))
print(f"{means[-1]:.6f}")
