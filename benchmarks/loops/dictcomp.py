# A comprehension over a dict
# parallel

# %% setup
import numpy as np

series = {name: np.random.default_rng(n).normal(size=1000) for n, name in enumerate("ABCDEFGHIJKL")}

def entropy(values, m=2, r=0.2):
    parts = np.lib.stride_tricks.sliding_window_view(values, m)
    longer = np.lib.stride_tricks.sliding_window_view(values, m + 1)
    near = sum(int((np.abs(parts - p).max(axis=1) <= r).sum()) for p in parts)
    nearer = sum(int((np.abs(longer - p).max(axis=1) <= r).sum()) for p in longer)
    return float(-np.log(nearer / near))

# %% cell
entropies = {name: entropy(values) for name, values in series.items()}
entropies

# %% joblib
from joblib import Parallel, delayed
entropies = dict(zip(series, Parallel(n_jobs=JOBS)(delayed(entropy)(v) for v in series.values())))
entropies
