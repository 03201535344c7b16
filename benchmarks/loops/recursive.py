# A recursive function with a loop in it
# parallel

# %% setup
def solutions(size, row=0, columns=0, left=0, right=0):
    if row == size:
        return 1
    found = 0
    for column in range(size):
        bit = 1 << column
        if not (columns & bit or left & (1 << (row + column)) or right & (1 << (row - column + size))):
            found += solutions(size, row + 1, columns | bit, left | 1 << (row + column), right | 1 << (row - column + size))
    return found

# %% cell
queens = solutions(12)
print(queens)

# %% joblib
from joblib import Parallel, delayed
queens = sum(Parallel(n_jobs=JOBS)(delayed(solutions)(12, 1, 1 << c, 1 << c, 1 << (12 - c)) for c in range(12)))
print(queens)
