# `zip` of `sorted` and a list
# parallel

# %% setup
def edit_distance(one, two):
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]

left = ["".join(chr(97 + (k * n) % 23) for k in range(600)) for n in range(1, 15)]
right = ["".join(chr(97 + (k * k + n) % 23) for k in range(600)) for n in range(1, 15)]

# %% cell
distances = {}
for one, two in zip(sorted(left), right):
    distances[one[:8], two[:8]] = edit_distance(one, two)
print(sorted(distances.values())[:3])

# %% joblib
from joblib import Parallel, delayed
pairs = list(zip(sorted(left), right))
found = Parallel(n_jobs=JOBS)(delayed(edit_distance)(one, two) for one, two in pairs)
distances = {(one[:8], two[:8]): d for (one, two), d in zip(pairs, found)}
print(sorted(distances.values())[:3])
