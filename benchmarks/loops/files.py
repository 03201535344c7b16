# Files in a loop with pandas
# parallel

# %% setup
from pathlib import Path
import numpy as np
import pandas as pd

folder = Path("stations")
folder.mkdir(exist_ok=True)
rng = np.random.default_rng(0)
month = pd.DataFrame({
    "time": pd.date_range("2024-01-01", periods=30_000, freq="min"),
    "temperature": rng.normal(10, 5, 30_000).round(2),
    "wind": rng.gamma(2, 2, 30_000).round(2),
})
head, *rows = month.to_csv(index=False).splitlines(keepends=True)
for n in range(12):
    (folder / f"station{n:02d}.csv").write_text(head + "".join(rows[n:]) * 8)

# %% cell
summaries = []
for path in sorted(folder.glob("*.csv")):
    table = pd.read_csv(path, parse_dates=["time"])
    hourly = table.set_index("time").resample("h").mean()
    hourly["station"] = path.stem
    summaries.append(hourly)
weather = pd.concat(summaries)
weather.groupby("station").mean()

# %% joblib
from joblib import Parallel, delayed
def summarise(path):
    table = pd.read_csv(path, parse_dates=["time"])
    hourly = table.set_index("time").resample("h").mean()
    hourly["station"] = path.stem
    return hourly
weather = pd.concat(Parallel(n_jobs=JOBS)(delayed(summarise)(p) for p in sorted(folder.glob("*.csv"))))
weather.groupby("station").mean()
