# k-fold cross-validation by hand
# parallel

# %% setup
import numpy as np
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier
from sklearn.metrics import accuracy_score

X, y = make_classification(n_samples=6000, n_features=20, n_informative=12, random_state=1)
k = 8
folds = np.array_split(np.random.default_rng(3).permutation(len(X)), k)

# %% cell
scores = []
for i in range(k):
    test = folds[i]
    train = np.concatenate([folds[j] for j in range(k) if j != i])
    model = DecisionTreeClassifier(random_state=0)
    model.fit(X[train], y[train])
    scores.append(accuracy_score(y[test], model.predict(X[test])))
print(f"accuracy {np.mean(scores):.4f} ± {np.std(scores):.4f}")

# %% joblib
from joblib import Parallel, delayed
def one_fold(i):
    test = folds[i]
    train = np.concatenate([folds[j] for j in range(k) if j != i])
    model = DecisionTreeClassifier(random_state=0).fit(X[train], y[train])
    return accuracy_score(y[test], model.predict(X[test]))
scores = Parallel(n_jobs=JOBS)(delayed(one_fold)(i) for i in range(k))
print(f"accuracy {np.mean(scores):.4f} ± {np.std(scores):.4f}")
