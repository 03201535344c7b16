# A method with a loop inside
# parallel

# %% setup
import numpy as np

def shade(c, limit=3000):
    z, n = 0j, 0
    while abs(z) <= 2 and n < limit:
        z, n = z * z + c, n + 1
    return n

def row_of(y, width=70):
    return [shade(complex(x, y)) for x in np.linspace(-2, 0.6, width).tolist()]

class Picture:
    def __init__(self, height):
        self.height = height
        self.rows = []

    def render(self):
        self.rows = []
        for y in np.linspace(-0.6, 0.6, self.height).tolist():
            self.rows.append(row_of(y))
        return sum(map(sum, self.rows))

picture = Picture(80)

# %% cell
total = picture.render()
print(total)

# %% joblib
from joblib import Parallel, delayed
picture.rows = Parallel(n_jobs=JOBS)(delayed(row_of)(y) for y in np.linspace(-0.6, 0.6, picture.height).tolist())
total = sum(map(sum, picture.rows))
print(total)
