# 800 iterations of about a millisecond
# parallel

# %% setup
def score(word, passes=110):
    total = 0
    for k in range(passes):
        for letter in word:
            total = (total * 31 + ord(letter) * k) % 1_000_003
    return total

words = [f"word number {n} of the list, with a tail {n * n}" * 4 for n in range(800)]

# %% cell
scores = []
for word in words:
    scores.append(score(word))
print(sum(scores))

# %% joblib
from joblib import Parallel, delayed
scores = Parallel(n_jobs=JOBS)(delayed(score)(w) for w in words)
print(sum(scores))
