# try/except in the loop body
# parallel

# %% setup
def solve(c, steps=700_000):
    x = 1.0
    for k in range(steps):
        x = x - 0.001 * (x * x - c)
        if x < -1:
            raise ValueError(f"no root for {c}")
    return x

values = [4, 9, 2, -3, 16, 7, 25, -1, 30, 12] * 3

# %% cell
roots, failed = [], []
for c in values:
    try:
        roots.append(solve(c))
    except ValueError as error:
        failed.append(str(error))
print(len(roots), failed)

# %% joblib
from joblib import Parallel, delayed
def guarded(c):
    try:
        return solve(c)
    except ValueError as error:
        return str(error)
found = Parallel(n_jobs=JOBS)(delayed(guarded)(c) for c in values)
roots, failed = [f for f in found if not isinstance(f, str)], [f for f in found if isinstance(f, str)]
print(len(roots), failed)
