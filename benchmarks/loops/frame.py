# Rows of a DataFrame, one after the other (`df.loc[i] = ...`)
# parallel

# %% setup
import numpy as np
import pandas as pd

def portfolio(seed, days=700):
    rng = np.random.default_rng(seed)
    paths = rng.normal(0.0003, 0.01, (days, 200)).cumsum(axis=0)
    falls = [float((np.maximum.accumulate(p) - p).max()) for p in paths.T]
    return paths[-1].mean(), float(np.std(paths[-1])), max(falls)

# %% cell
df = pd.DataFrame(columns=["mean", "std", "worst"])
for i in range(250):
    mean, std, worst = portfolio(i)
    df.loc[i] = [mean, std, worst]
df.describe()

# %% joblib
from joblib import Parallel, delayed
rows = Parallel(n_jobs=JOBS)(delayed(portfolio)(i) for i in range(250))
df = pd.DataFrame(rows, columns=["mean", "std", "worst"])
df.describe()
