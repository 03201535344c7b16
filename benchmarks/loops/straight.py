# A loop whose body is all in the cell, no function at all
# parallel

# %% setup
starts = list(range(27, 27 + 14))

# %% cell
peaks = {}
for seed in starts:
    x, peak, rounds = seed, 0, 0
    while rounds < 250_000:
        x = x // 2 if x % 2 == 0 else (3 * x + seed) % 999_983
        peak = max(peak, x)
        rounds += 1
    peaks[seed] = peak
print(max(peaks.values()))

# %% joblib
from joblib import Parallel, delayed
def peak_of(seed):
    x, peak = seed, 0
    for _ in range(250_000):
        x = x // 2 if x % 2 == 0 else (3 * x + seed) % 999_983
        peak = max(peak, x)
    return peak
peaks = dict(zip(starts, Parallel(n_jobs=JOBS)(delayed(peak_of)(s) for s in starts)))
print(max(peaks.values()))
