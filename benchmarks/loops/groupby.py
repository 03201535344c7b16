# A loop over the groups of a DataFrame
# parallel

# %% setup
import numpy as np
import pandas as pd

rng = np.random.default_rng(10)
n = 60_000
sales = pd.DataFrame({
    "shop": rng.choice([f"shop {k}" for k in range(16)], n),
    "day": rng.integers(0, 365, n),
    "amount": rng.gamma(2, 20, n),
})

def trend(days, amounts):
    slopes = []
    rng = np.random.default_rng(0)
    for _ in range(250):
        pick = rng.integers(0, len(days), len(days))
        slopes.append(np.polyfit(days[pick], amounts[pick], 1)[0])
    return np.percentile(slopes, [5, 50, 95])

# %% cell
trends = {}
for shop, group in sales.groupby("shop"):
    daily = group.sort_values("day")
    trends[shop] = trend(daily["day"].to_numpy(), daily["amount"].to_numpy())
pd.DataFrame(trends).T

# %% joblib
from joblib import Parallel, delayed
def of_group(group):
    daily = group.sort_values("day")
    return trend(daily["day"].to_numpy(), daily["amount"].to_numpy())
groups = dict(list(sales.groupby("shop")))
trends = dict(zip(groups, Parallel(n_jobs=JOBS)(delayed(of_group)(g) for g in groups.values())))
pd.DataFrame(trends).T
