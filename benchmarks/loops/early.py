# Early stop with `break`, late in the loop
# parallel

# %% setup
def smallest_factor(n):
    d = 3
    while d * d <= n:
        if n % d == 0:
            return d
        d += 2
    return n

candidates = [10**12 + 39 + 2 * k for k in range(400)]
candidates = [n for n in candidates if all(n % p for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47))]

# %% cell
primes = []
for n in candidates:
    factor = smallest_factor(n)
    if factor == n:
        primes.append(n)
    if len(primes) == 28:
        break
print(len(primes), primes[-1])

# %% joblib
from joblib import Parallel, delayed
primes = []
for n, factor in zip(candidates, Parallel(n_jobs=JOBS, return_as="generator")(delayed(smallest_factor)(n) for n in candidates)):
    if factor == n:
        primes.append(n)
    if len(primes) == 28:
        break
print(len(primes), primes[-1])
