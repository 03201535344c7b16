# A parameter sweep, results appended to a list
# parallel

# %% setup
import math

def decay(rate, steps=380_000):
    level, total = 1.0, 0.0
    for i in range(steps):
        level += 0.001 * (math.sin(i * rate) - rate * level)
        total += level
    return total / steps

rates = [0.1 * k for k in range(1, 25)]

# %% cell
results = []
for rate in rates:
    mean = decay(rate)
    results.append((rate, mean))
best = max(results, key=lambda pair: pair[1])

# %% joblib
from joblib import Parallel, delayed
means = Parallel(n_jobs=JOBS)(delayed(decay)(rate) for rate in rates)
results = list(zip(rates, means))
best = max(results, key=lambda pair: pair[1])

# %% dask
import dask
means = dask.compute(*[dask.delayed(decay)(rate) for rate in rates], scheduler="processes", num_workers=JOBS)
results = list(zip(rates, means))
best = max(results, key=lambda pair: pair[1])
