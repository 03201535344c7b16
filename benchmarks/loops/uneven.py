# Iterations of very different cost
# parallel

# %% setup
def fill(n):
    best = [0] * (n + 1)
    for weight in range(3, 40):
        for room in range(n, weight - 1, -1):
            best[room] = max(best[room], best[room - weight] + weight * 7 % 31)
    return best[n]

sizes = [200, 60_000, 500, 900, 20_000, 100, 40_000, 3000, 300, 30_000, 700, 9000, 15_000, 100, 2000]

# %% cell
values = []
for n in sizes:
    values.append(fill(n))
print(values)

# %% joblib
from joblib import Parallel, delayed
values = Parallel(n_jobs=JOBS)(delayed(fill)(n) for n in sizes)
print(values)
