"""Library calls: what the tables say of numpy, pandas, scipy, scikit-learn and matplotlib."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import subprocess
import sys

from analysis_cases import Case, check, table


@table(
    Case("numpy function", "a = np.mean(X)", reads="np X", writes="a", touch="nothing", cost="unknown", aliases=""),
    Case("numpy function, unknown argument", "a = np.mean(v)", reads="np v", writes="a", opaque="v", touch="any"),
    Case("numpy ufunc", "a = np.sqrt(X)", reads="np X", writes="a", touch="nothing"),
    Case("numpy out", "np.add(X, X, out=X)", reads="np X", changes="X", touch="any"),
    Case("numpy constant", "a = np.pi * 2", reads="np", writes="a", touch="nothing", cost="zero", aliases=""),
    Case("numpy arithmetic", "a = X.T @ X + 1", reads="X", writes="a", touch="nothing", aliases=""),
    Case("numpy view by index", "a = X[1:]", reads="X", writes="a", aliases="a:X"),
    Case("numpy view by attribute", "a = X.T", reads="X", writes="a", aliases="a:X", touch="nothing"),
    Case("numpy view by method", "a = X.reshape(-1)", reads="X", writes="a", aliases="a:X", touch="nothing"),
    Case("numpy view by function", "a = np.asarray(X)", reads="np X", writes="a", aliases="a:X"),
    Case("numpy copy", "a = X.copy()", reads="X", writes="a", aliases=""),
    Case("numpy shape", "a, b = X.shape", reads="X", writes="a b", touch="nothing", cost="zero", aliases=""),
    Case("numpy item store", "X[0, 1] = n", reads="X n", changes="X", touch="any"),
    Case("numpy in place", "X += 1", reads="X", writes="X", changes="X", touch="any"),
    Case("numpy sort method", "y.sort()", reads="y", changes="y", touch="any"),
    Case("numpy fill", "X.fill(0)", reads="X", changes="X"),
    Case("numpy copyto", "np.copyto(X, 0)", reads="np X", changes="X"),
    Case("numpy linalg", "a = np.linalg.inv(X)", reads="np X", writes="a", touch="nothing"),
    Case("numpy comparison", "a = (X > 1) & (X < 2)", reads="X", writes="a", touch="nothing"),
    Case("numpy random", "a = np.random.rand(3)", reads="np", writes="a", home="ambient", draws="numpy"),
    Case("numpy random seed", "np.random.seed(0)", reads="np", home="ambient"),
    Case("numpy random shuffle", "np.random.shuffle(xs)", reads="np xs", changes="xs", home="ambient", draws="numpy"),
    Case("numpy generator", "a = rng.normal(size=3)", reads="rng", writes="a", changes="rng", draws=""),
    Case("numpy new generator", "a = np.random.default_rng(1)", reads="np", writes="a", draws=""),
    Case("numpy save", "np.save('p', X)", reads="np X", home="files", files="written"),
    Case("numpy load", "a = np.load('p')", reads="np", writes="a", files="read", cost="some"),
    Case("numpy options", "np.set_printoptions(precision=3)", reads="np", home="ambient"),
    Case("numpy apply", "a = np.apply_along_axis(lambda v: v + n, 0, X)", reads="np n X", writes="a"),
    Case("from numpy import", "a = mean(X)", reads="mean X", writes="a", touch="nothing", extra="from numpy import mean"),
    Case("from numpy.random import", "a = rand(3)", reads="rand", writes="a", home="ambient", draws="numpy", extra="from numpy.random import rand"),
    Case("read_csv", "a = pd.read_csv('p')", reads="pd", writes="a", files="read", cost="some", touch="nothing"),
    Case("from pandas import", "a = read_csv('p')", reads="read_csv", writes="a", files="read", cost="some", extra="from pandas import read_csv"),
    Case("frame", "a = pd.DataFrame({'k': xs})", reads="pd xs", writes="a", touch="nothing"),
    Case("frame column", "a = df['a']", reads="df", writes="a", aliases="a:df", touch="nothing"),
    Case("frame column attribute", "a = df.a", reads="df", writes="a", aliases="a:df", touch="nothing"),
    Case("frame column store", "df['c'] = df['a'] + 1", reads="df", changes="df", touch="any"),
    Case("frame attribute store", "df.c = 1", reads="df", changes="df", touch="any"),
    Case("frame loc store", "df.loc[0, 'a'] = n", reads="df n", changes="df", touch="any"),
    Case("frame chain", "a = df[df.a > 1].groupby('a').b.mean().reset_index()", reads="df", writes="a", touch="nothing"),
    Case("frame agg", "a = df.groupby('a').agg({'b': 'sum'})", reads="df", writes="a", touch="nothing"),
    Case("frame apply", "a = df.apply(lambda r: r + n)", reads="df n", writes="a"),
    Case("frame inplace", "df.dropna(inplace=True)", reads="df", changes="df", touch="any"),
    Case("frame not inplace", "a = df.dropna()", reads="df", writes="a", touch="nothing"),
    Case("frame insert", "df.insert(0, 'z', xs)", reads="df xs", changes="df"),
    Case("frame pop", "a = df.pop('a')", reads="df", writes="a", changes="df"),
    Case("frame del column", "del df['a']", reads="df", changes="df"),
    Case("frame sample", "a = df.sample(1)", reads="df", writes="a", home="ambient", draws="numpy"),
    Case("frame sample, seeded", "a = df.sample(1, random_state=0)", reads="df", writes="a", draws=""),
    Case("frame to_csv", "df.to_csv('p')", reads="df", home="files", files="written"),
    Case("frame to_csv as text", "a = df.to_csv()", reads="df", writes="a", files=""),
    Case("frame to_numpy", "a = df.to_numpy()", reads="df", writes="a", aliases="a:df"),
    Case("frame to_dict", "a = df.to_dict()", reads="df", writes="a", touch="nothing"),
    Case("frame head", "df.head()", reads="df", touch="nothing"),
    Case("frame info", "df.info()", reads="df", prints=True),
    Case("frame plot", "df.plot()", reads="df", home="drawing"),
    Case("frame plot accessor", "df.plot.scatter('a', 'b')", reads="df", home="drawing"),
    Case("frame items", "for k, v in df.items(): a = k", reads="df", writes="k v a"),
    Case("series string accessor", "a = col.astype(str).str.upper()", reads="col", writes="a", touch="nothing"),
    Case("pandas options", "pd.set_option('display.max_rows', 5)", reads="pd", home="ambient"),
    Case("pandas option attribute", "pd.options.display.max_rows = 5", reads="pd", home="ambient"),
    Case("pandas now", "a = pd.Timestamp.now()", reads="pd", writes="a", home="clock"),
    Case("pandas concat", "a = pd.concat([df, df])", reads="pd df", writes="a", touch="nothing"),
    Case("pandas concat of a generator", "a = pd.concat(df for i in xs)", reads="pd df xs", writes="a"),
    Case("scipy", "a = optimize.minimize(lambda v: v * n, 0)", reads="optimize n", writes="a"),
    Case("scipy draw", "a = scipy.stats.norm.rvs(size=3)", reads="scipy", writes="a", draws="numpy", home="ambient"),
    Case("scipy pure", "a = scipy.stats.norm.pdf(x)", reads="scipy x", writes="a", draws="", touch="nothing"),
    Case("fit", "model.fit(X, y)", reads="model X y", changes="model", cost="some", touch="any"),
    Case("fit, result named", "a = model.fit(X, y)", reads="model X y", writes="a", changes="model", aliases="a:model"),
    Case("fit of a new model", "a = LinearRegression().fit(X, y)", reads="LinearRegression X y", writes="a", aliases="", cost="some"),
    Case("fit in a loop", "for m in models: m.fit(X, y)", reads="models X y", writes="m", changes="m models"),
    Case("predict", "a = model.predict(X)", reads="model X", writes="a"),
    Case("fit_transform", "a = scaler.fit_transform(X)", reads="scaler X", writes="a", changes="scaler"),
    Case("transform", "a = scaler.transform(X)", reads="scaler X", writes="a"),
    Case("set_params", "model.set_params(fit_intercept=False)", reads="model", changes="model"),
    Case("split", "a, b = train_test_split(X, random_state=0)", reads="train_test_split X", writes="a b", touch="nothing"),
    Case("cross_val_score", "a = cross_val_score(model, X, y)", reads="cross_val_score model X y", writes="a", cost="some"),
    Case("metric", "a = accuracy_score(y, y)", reads="accuracy_score y", writes="a", touch="nothing"),
    Case("pipeline holds its parts", "a = make_pipeline(scaler, model)", reads="make_pipeline scaler model", writes="a"),
    Case("search holds its model", "a = GridSearchCV(model, {'fit_intercept': [True]})", reads="GridSearchCV model", writes="a", aliases="a:model", cost="zero"),
    Case("search fit", "a = GridSearchCV(model, d).fit(X, y)", reads="GridSearchCV model d X y", writes="a", cost="some", changes="model d"),
    Case("fitted attribute", "a = model.coef_", reads="model", writes="a", aliases="a:model", touch="nothing"),
    Case("class attribute of a library", "LinearRegression.extra = 1", reads="LinearRegression", home="ambient"),
    Case("module attribute", "np.extra = 1", reads="np", home="ambient"),
    Case("not loaded module", "import nowhere.lib as nl\na = nl.compute(n)", reads="nl n", writes="a", touch="any", cost="unknown"),
    Case("not loaded module, discarded", "import nowhere.lib as nl\nnl.configure(n)", reads="nl n", home="ambient"),
    Case("not loaded library in the tables", "import seaborn as sns\nsns.set_theme()", reads="sns", home="ambient"),
    Case("not loaded pyplot", "import matplotlib.pyplot as plt\nplt.plot(xs)", reads="plt xs", home="drawing"),
)  # fmt: skip
def test_libraries(case: Case) -> None:
    check(case, "science")


def test_the_analysis_loads_no_library() -> None:
    code = (
        "import sys, taskpar_kernel.analysis.predict, taskpar_kernel.analysis.api\n"
        "heavy = {'numpy', 'pandas', 'zmq', 'IPython', 'subprocess', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
