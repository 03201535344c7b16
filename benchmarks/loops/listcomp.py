# A list comprehension with a condition, then a second one over it
# parallel

# %% setup
def persistence(n, base):
    steps = 0
    while n >= base:
        product = 1
        while n:
            n, digit = divmod(n, base)
            product *= digit or 1
        n, steps = product, steps + 1
    return steps

def record(base):
    return base, max(persistence(n, base) for n in range(base, 180_000, 3))

# %% cell
records = [record(base) for base in range(5, 40) if base % 2]
high = [base for base, steps in records if steps > 3]
print(high)

# %% joblib
from joblib import Parallel, delayed
records = Parallel(n_jobs=JOBS)(delayed(record)(b) for b in range(5, 40) if b % 2)
high = [base for base, steps in records if steps > 3]
print(high)
