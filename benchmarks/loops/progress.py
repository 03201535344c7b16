# Progress printed in the loop, before and after the work
# parallel

# %% setup
def partitions(n):
    ways = [1] + [0] * n
    for part in range(1, n + 1):
        for total in range(part, n + 1):
            ways[total] += ways[total - part]
    return ways[n]

sizes = list(range(1500, 1660, 10))

# %% cell
results = {}
for i, n in enumerate(sizes):
    print(f"[{i + 1}/{len(sizes)}] n = {n} ...", end=" ")
    results[n] = partitions(n)
    print(len(str(results[n])), "digits")

# %% joblib
from joblib import Parallel, delayed
results = dict(zip(sizes, Parallel(n_jobs=JOBS)(delayed(partitions)(n) for n in sizes)))
for i, n in enumerate(sizes):
    print(f"[{i + 1}/{len(sizes)}] n = {n} ... {len(str(results[n]))} digits")
