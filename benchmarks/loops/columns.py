# Columns of a DataFrame, one fit each, written back
# parallel

# %% setup
import numpy as np
import pandas as pd

readings = pd.DataFrame(np.random.default_rng(12).normal(size=(1800, 16)).cumsum(axis=0), columns=[f"sensor {n}" for n in range(16)])

def smoothed(series, width=25):
    out = []
    for i in range(len(series)):
        part = series.iloc[max(0, i - width) : i + width]
        out.append(part.median())
    return out

# %% cell
clean = readings.copy()
for column in readings.columns:
    clean[column] = smoothed(readings[column])
clean.describe()

# %% joblib
from joblib import Parallel, delayed
clean = readings.copy()
found = Parallel(n_jobs=JOBS)(delayed(smoothed)(readings[c]) for c in readings.columns)
for column, values in zip(readings.columns, found):
    clean[column] = values
clean.describe()
