# `list(map(f, xs))`
# parallel

# %% setup
def root_residue(n, places=6000):
    n, root = n * 10 ** (2 * places), 10 ** (places + 2)
    while True:
        better = (root + n // root) // 2
        if better >= root:
            return root % 1_000_007
        root = better

numbers = list(range(2, 122))

# %% cell
sums = list(map(root_residue, numbers))
print(sum(sums))

# %% joblib
from joblib import Parallel, delayed
sums = Parallel(n_jobs=JOBS)(delayed(root_residue)(n) for n in numbers)
print(sum(sums))
