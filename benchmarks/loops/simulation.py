# A simulation with one shared generator drawn in the loop, heavy work on the draw
# parallel

# %% setup
import numpy as np

rng = np.random.default_rng(0)

def queue_length(arrivals, service=0.9):
    waiting = worst = 0.0
    for gap in arrivals.tolist():
        waiting = max(0.0, waiting + service - gap)
        worst = max(worst, waiting)
    return worst

# %% cell
worst = []
for run in range(20):
    arrivals = rng.exponential(1.0, 400_000)
    worst.append(queue_length(arrivals))
print(f"worst wait {np.mean(worst):.2f}")

# %% joblib
from joblib import Parallel, delayed
worst = Parallel(n_jobs=JOBS)(delayed(queue_length)(rng.exponential(1.0, 400_000)) for run in range(20))
print(f"worst wait {np.mean(worst):.2f}")
