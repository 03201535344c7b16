# Nested calls `g(f(a), f(b))`
# parallel

# %% setup
def primes_below(n):
    sieve = bytearray([1]) * n
    for i in range(2, int(n**0.5) + 1):
        if sieve[i]:
            for j in range(i * i, n, i):
                sieve[j] = 0
    return [i for i in range(2, n) if sieve[i]]

def twins(low, high):
    return len(low) + len(high), low[-1] * high[-1]

a, b = 5_000_000, 5_400_000

# %% cell
answer = twins(primes_below(a), primes_below(b))
print(answer)

# %% joblib
from joblib import Parallel, delayed
answer = twins(*Parallel(n_jobs=JOBS)(delayed(primes_below)(n) for n in (a, b)))
print(answer)
