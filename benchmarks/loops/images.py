# Image filters of scipy.ndimage, by index
# parallel

# %% setup
import numpy as np
from scipy import ndimage

images = np.random.default_rng(6).random((10, 400, 400))
smooth = np.empty_like(images)
blobs = [0] * len(images)

# %% cell
for i in range(len(images)):
    smooth[i] = ndimage.median_filter(images[i], size=5)
    edges = ndimage.sobel(ndimage.gaussian_filter(smooth[i], 2))
    labels, blobs[i] = ndimage.label(edges > 0.02)
print(blobs)

# %% joblib
from joblib import Parallel, delayed
def one(image):
    filtered = ndimage.median_filter(image, size=5)
    edges = ndimage.sobel(ndimage.gaussian_filter(filtered, 2))
    return filtered, ndimage.label(edges > 0.02)[1]
for i, (filtered, n) in enumerate(Parallel(n_jobs=JOBS)(delayed(one)(im) for im in images)):
    smooth[i], blobs[i] = filtered, n
print(blobs)
