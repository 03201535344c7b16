# A running total of dear terms (`total += f(x)`) with a condition
# parallel

# %% setup
import math

def integral(k, n=150_000):
    h = 1.0 / n
    return h * sum(math.exp(-k * (i * h) ** 2) * math.cos(k * i * h) for i in range(n))

# %% cell
total, used = 0.0, 0
for k in range(1, 61):
    if k % 3 == 0:
        continue
    term = integral(k)
    total += term / k
    used += 1
print(used, round(total, 10))

# %% joblib
from joblib import Parallel, delayed
ks = [k for k in range(1, 61) if k % 3]
terms = Parallel(n_jobs=JOBS)(delayed(integral)(k) for k in ks)
total, used = 0.0, len(ks)
for k, term in zip(ks, terms):
    total += term / k
print(used, round(total, 10))
