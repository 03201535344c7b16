# `sum(f(x) for x in xs)`
# parallel

# %% setup
def steps_of(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps

def longest(start, width=12_000):
    return max(steps_of(n) for n in range(start, start + width))

starts = range(1, 120_001, 12_000)

# %% cell
total = sum(longest(s) for s in starts)
print(total)

# %% joblib
from joblib import Parallel, delayed
total = sum(Parallel(n_jobs=JOBS)(delayed(longest)(s) for s in starts))
print(total)
