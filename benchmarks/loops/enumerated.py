# `enumerate` of a list, results stored by index
# parallel

# %% setup
import numpy as np

signals = [np.random.default_rng(n).normal(size=1200) for n in range(12)]
lags = np.zeros(len(signals))

def best_lag(signal):
    scores = [float((signal[k:] * signal[: len(signal) - k]).mean()) for k in range(1, 1000)]
    for _ in range(14):
        scores = [float(np.median(signal[k : k + 30])) + s for k, s in enumerate(scores[:500])] + scores[500:]
    return int(np.argmax(scores))

# %% cell
for i, signal in enumerate(signals):
    lags[i] = best_lag(signal)
lags

# %% joblib
from joblib import Parallel, delayed
lags[:] = Parallel(n_jobs=JOBS)(delayed(best_lag)(s) for s in signals)
lags
