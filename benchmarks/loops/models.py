# Models in a dict, fitted in place
# parallel

# %% setup
from sklearn.datasets import make_regression
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

X, y = make_regression(n_samples=1500, n_features=12, noise=3, random_state=2)
models = {
    "forest": RandomForestRegressor(n_estimators=25, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=110, random_state=0),
    "forest, shallow": RandomForestRegressor(n_estimators=70, max_depth=6, random_state=0),
    "boosting, deep": GradientBoostingRegressor(n_estimators=30, max_depth=5, random_state=0),
    "tree": DecisionTreeRegressor(random_state=0),
    "neighbours": KNeighborsRegressor(5),
}

# %% cell
scores = {}
for name, model in models.items():
    model.fit(X[:1000], y[:1000])
    scores[name] = model.score(X[1000:], y[1000:])
    print(f"{name:16} {scores[name]:.3f}")

# %% joblib
from joblib import Parallel, delayed
def fitted(model):
    return model.fit(X[:1000], y[:1000]), model.score(X[1000:], y[1000:])
found = Parallel(n_jobs=JOBS)(delayed(fitted)(m) for m in models.values())
models = {name: model for name, (model, _) in zip(models, found)}
scores = {name: score for name, (_, score) in zip(models, found)}
for name, score in scores.items():
    print(f"{name:16} {score:.3f}")
