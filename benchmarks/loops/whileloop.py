# A while loop with independent work inside
# parallel

# %% setup
def digit_sum(n):
    value, total = 2**n, 0
    for i in range(n):
        total += (value >> i) % 7 * (i % 3)
    return total

# %% cell
sums = []
n = 15_000
while n < 20_000:
    sums.append(digit_sum(n))
    n += 150
print(len(sums), sums[-1])

# %% joblib
from joblib import Parallel, delayed
sums = Parallel(n_jobs=JOBS)(delayed(digit_sum)(n) for n in range(15_000, 20_000, 150))
n = 20_100
print(len(sums), sums[-1])
