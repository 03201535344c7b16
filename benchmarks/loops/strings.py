# String processing: words of many texts
# parallel

# %% setup
import random
import re
from collections import Counter

random.seed(4)
syllables = ["ka", "lo", "mi", "ten", "ra", "sol", "ver", "ni", "pu", "dor"]
texts = [" ".join("".join(random.choices(syllables, k=random.randint(1, 4))) for _ in range(50_000)) for _ in range(24)]

def tokens(text):
    return [w for w in re.findall(r"[a-z]+", text.lower()) if len(w) > 3]

# %% cell
counts = []
for text in texts:
    words = tokens(text)
    pairs = Counter(zip(words, words[1:]))
    endings = Counter(w[-3:] for w in words)
    counts.append((len(words), pairs.most_common(3), endings.most_common(2)))
print(counts[0])

# %% joblib
from joblib import Parallel, delayed
def count(text):
    words = tokens(text)
    pairs = Counter(zip(words, words[1:]))
    endings = Counter(w[-3:] for w in words)
    return len(words), pairs.most_common(3), endings.most_common(2)
counts = Parallel(n_jobs=JOBS)(delayed(count)(t) for t in texts)
print(counts[0])
