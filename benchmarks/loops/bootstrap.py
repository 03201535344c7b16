# A bootstrap with a seed for each resample
# parallel

# %% setup
import numpy as np

incomes = np.random.default_rng(5).lognormal(10, 1, 40_000)

def gini(values):
    ordered = np.sort(values)
    ranks = np.arange(1, len(ordered) + 1)
    return 2 * (ranks * ordered).sum() / (len(ordered) * ordered.sum()) - (len(ordered) + 1) / len(ordered)

# %% cell
estimates = []
for seed in range(1000):
    rng = np.random.default_rng(seed)
    sample = rng.choice(incomes, size=len(incomes))
    estimates.append(gini(sample))
low, high = np.percentile(estimates, [2.5, 97.5])

# %% joblib
from joblib import Parallel, delayed
def resample(seed):
    rng = np.random.default_rng(seed)
    return gini(rng.choice(incomes, size=len(incomes)))
estimates = Parallel(n_jobs=JOBS)(delayed(resample)(seed) for seed in range(1000))
low, high = np.percentile(estimates, [2.5, 97.5])
