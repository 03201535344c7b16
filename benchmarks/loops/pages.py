# Pages of a service into a dict, with a retry
# parallel
# workers: 4

# %% setup
import time

def page(number, attempt=1):
    time.sleep(0.1)
    if number % 5 == 3 and attempt == 1:
        raise TimeoutError(f"page {number}")
    return [number * 10 + k for k in range(10)]

# %% cell
items = {}
for number in range(12):
    try:
        items[number] = page(number)
    except TimeoutError:
        items[number] = page(number, attempt=2)
print(sum(map(len, items.values())), "items")

# %% joblib
from joblib import Parallel, delayed
def patiently(number):
    try:
        return page(number)
    except TimeoutError:
        return page(number, attempt=2)
items = dict(enumerate(Parallel(n_jobs=JOBS)(delayed(patiently)(n) for n in range(12))))
print(sum(map(len, items.values())), "items")
