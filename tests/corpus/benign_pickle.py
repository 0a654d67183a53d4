"""Honest pickles: plain data, NumPy, pandas, SciPy, scikit-learn, joblib, dill."""

import collections
import datetime
import decimal
import enum
import fractions
import io
import pathlib
import pickle
import time
import uuid

import cloudpickle
import dill
import joblib
import numpy as np
import pandas as pd
import scipy.sparse
import sklearn.cluster
import sklearn.compose
import sklearn.datasets
import sklearn.decomposition
import sklearn.discriminant_analysis
import sklearn.ensemble
import sklearn.feature_extraction.text
import sklearn.feature_selection
import sklearn.gaussian_process
import sklearn.impute
import sklearn.isotonic
import sklearn.linear_model
import sklearn.mixture
import sklearn.model_selection
import sklearn.multiclass
import sklearn.naive_bayes
import sklearn.neighbors
import sklearn.neural_network
import sklearn.pipeline
import sklearn.preprocessing
import sklearn.svm
import sklearn.tree

from corpus import Corpus, saved

PROTOCOLS = range(6)


def make(c: Corpus):
    _plain(c)
    _numpy_pandas_scipy(c)
    _sklearn(c)
    _joblib(c)
    _dill_cloudpickle(c)
    _text_that_names_gadgets(c)


def _plain(c):
    containers = {
        "epoch": 3, "loss": 0.125, "best": None, "resume": True, "labels": ["cat", "dog"],
        "shape": (3, 224, 224), "ids": {1, 2, 3}, "frozen": frozenset({"a"}), "raw": b"\x00\xff",
        "big": 1 << 80, "neg": -1, "complex": 1 + 2j, "text": "naïve ☃ 模型", "nested": {"a": [{"b": ()}]},
    }
    for protocol in PROTOCOLS:
        c.benign(f"pickle/containers-p{protocol}.pkl", pickle.dumps(containers, protocol), ["pickle"])
    typed = {
        "datetime": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "timedelta": datetime.timedelta(days=1), "date": datetime.date(2024, 1, 2),
        "decimal": decimal.Decimal("1.50"), "fraction": fractions.Fraction(1, 3),
        "ordered": collections.OrderedDict(a=1, b=2), "default": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("banana"), "deque": collections.deque([1, 2], maxlen=5),
        "path": pathlib.PurePosixPath("models/best.pt"), "uuid": uuid.UUID(int=7),
        "range": range(3), "slice": slice(1, 2), "bytearray": bytearray(b"abc"),
    }
    for protocol in (0, 2, 4, 5):
        c.benign(f"pickle/standard-types-p{protocol}.pkl", pickle.dumps(typed, protocol), ["pickle"])
    c.benign("pickle/enum.pkl", pickle.dumps([pathlib.Path("a"), uuid.SafeUUID.safe, enum.Enum]), ["pickle"])
    c.benign("pickle/struct-time.pkl", pickle.dumps(time.gmtime(0)), ["pickle"])
    shared = ["shared"]
    recursive = [shared, shared]
    recursive.append(recursive)
    c.benign("pickle/shared-and-recursive.pkl", pickle.dumps(recursive, 2), ["pickle"])
    c.benign("pickle/exception.pkl", pickle.dumps(ValueError("bad value")), ["pickle"])
    c.benign("pickle/builtin-types.pkl", pickle.dumps([int, str, dict, list, len, abs], 4), ["pickle"])
    c.benign("pickle/large-frames.pkl", pickle.dumps([f"token{i}" for i in range(6000)], 4), ["pickle"], "several 64 KiB frames")
    stacked = b"".join(pickle.dumps(row, 4) for row in ({"epoch": 1}, {"epoch": 2}, [1, 2]))
    c.benign("pickle/stacked-streams.pkl", stacked, ["pickle"], "several dumps appended to one file, as logging loops do")
    c.benign("pickle/no-extension/vocabulary", pickle.dumps({"the": 0, "of": 1}, 2), ["pickle"])
    c.benign("pickle/labels.dat", pickle.dumps(["a", "b"], 0), ["pickle"], "protocol 0 has no magic")
    out_of_band = []
    main = pickle.dumps(np.arange(8), 5, buffer_callback=out_of_band.append)
    c.benign("pickle/out-of-band-buffer-p5.pkl", main, ["pickle"], "NEXT_BUFFER / READONLY_BUFFER opcodes")


def _numpy_pandas_scipy(c):
    arrays = {"f4": np.linspace(0, 1, 16, dtype="f4"), "i8": np.arange(4), "bool": np.array([True, False]),
              "str": np.array(["a", "bc"]), "obj": np.array([{"a": 1}, None], dtype=object),
              "struct": np.zeros(2, dtype=[("x", "f4"), ("y", "i2")]), "scalar": np.float64(1.5),
              "date": np.array(["2024-01-01"], dtype="M8[D]"), "masked": np.ma.masked_array([1, 2], [0, 1])}
    for protocol in PROTOCOLS:
        c.benign(f"pickle/numpy-p{protocol}.pkl", pickle.dumps(arrays, protocol), ["pickle"])
    rng = np.random.RandomState(7)
    c.benign("pickle/numpy-random-state.pkl", pickle.dumps({"legacy": rng, "new": np.random.default_rng(7)}), ["pickle"])
    frame = pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"], "when": pd.to_datetime(["2024-01-01", "2024-01-02"]),
                          "kind": pd.Categorical(["u", "v"])})
    for protocol in (2, 4, 5):
        c.benign(f"pickle/pandas-frame-p{protocol}.pkl", pickle.dumps(frame, protocol), ["pickle"])
    c.benign("pickle/pandas-series-multiindex.pkl", pickle.dumps(frame.set_index(["x", "name"])["kind"]), ["pickle"])
    for layout in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr"):
        matrix = scipy.sparse.eye(4, format="csr").asformat(layout)
        c.benign(f"pickle/scipy-{layout}.pkl", pickle.dumps(matrix), ["pickle"])


def estimators():
    """Small fitted scikit-learn estimators, by name."""
    x, y = sklearn.datasets.load_iris(return_X_y=True)
    x, y = x[::3], y[::3]
    binary = (y == 1).astype(int)
    texts = ["the cat sat", "the dog ran", "a cat ran", "dogs sit"]
    e, lm, pre = sklearn.ensemble, sklearn.linear_model, sklearn.preprocessing
    seed = {"random_state": 0}
    columns = sklearn.compose.ColumnTransformer(
        [("scale", pre.StandardScaler(), [0, 1]), ("bins", pre.KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), [2]),
         ("log", pre.FunctionTransformer(np.log1p), [3])])
    pipeline = sklearn.pipeline.Pipeline(
        [("impute", sklearn.impute.SimpleImputer()), ("scale", pre.StandardScaler()),
         ("pca", sklearn.decomposition.PCA(2, **seed)), ("svc", sklearn.svm.SVC(probability=False))])
    fitted = {
        "random-forest": e.RandomForestClassifier(4, max_depth=3, **seed),
        "extra-trees": e.ExtraTreesRegressor(3, max_depth=3, **seed),
        "gradient-boosting": e.GradientBoostingClassifier(n_estimators=3, **seed),
        "hist-gradient-boosting": e.HistGradientBoostingClassifier(max_iter=3, **seed),
        "ada-boost": e.AdaBoostClassifier(n_estimators=3, **seed),
        "isolation-forest": e.IsolationForest(n_estimators=3, **seed),
        "bagging": e.BaggingClassifier(n_estimators=2, **seed),
        "voting": e.VotingClassifier([("lr", lm.LogisticRegression(max_iter=500)), ("nb", sklearn.naive_bayes.GaussianNB())]),
        "stacking": e.StackingClassifier([("t", sklearn.tree.DecisionTreeClassifier(max_depth=2, **seed))], lm.LogisticRegression(), cv=2),
        "logistic-regression": lm.LogisticRegression(max_iter=500),
        "linear-regression": lm.LinearRegression(),
        "ridge-cv": lm.RidgeCV(),
        "lasso": lm.Lasso(alpha=0.1),
        "sgd-classifier": lm.SGDClassifier(**seed),
        "svc": sklearn.svm.SVC(**seed),
        "linear-svc": sklearn.svm.LinearSVC(max_iter=20000, **seed),
        "one-class-svm": sklearn.svm.OneClassSVM(),
        "kmeans": sklearn.cluster.KMeans(3, n_init=1, **seed),
        "dbscan": sklearn.cluster.DBSCAN(),
        "gaussian-mixture": sklearn.mixture.GaussianMixture(2, **seed),
        "gaussian-process": sklearn.gaussian_process.GaussianProcessRegressor(**seed),
        "knn": sklearn.neighbors.KNeighborsClassifier(3),
        "nearest-neighbours-ball-tree": sklearn.neighbors.NearestNeighbors(algorithm="ball_tree"),
        "mlp": sklearn.neural_network.MLPClassifier((4,), max_iter=20, **seed),
        "decision-tree": sklearn.tree.DecisionTreeClassifier(max_depth=3, **seed),
        "lda": sklearn.discriminant_analysis.LinearDiscriminantAnalysis(),
        "one-vs-rest": sklearn.multiclass.OneVsRestClassifier(lm.LogisticRegression(max_iter=500)),
        "select-k-best": sklearn.feature_selection.SelectKBest(k=2),
        "pca": sklearn.decomposition.PCA(2, **seed),
        "column-transformer": columns,
        "pipeline": pipeline,
        "grid-search": sklearn.model_selection.GridSearchCV(sklearn.svm.SVC(), {"C": [1, 10]}, cv=2),
    }
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in fitted.values():
            model.fit(x, y)
        tfidf = sklearn.feature_extraction.text.TfidfVectorizer().fit(texts)
        text_pipeline = sklearn.pipeline.make_pipeline(
            sklearn.feature_extraction.text.CountVectorizer(), sklearn.naive_bayes.MultinomialNB()).fit(texts, [0, 1, 0, 1])
        isotonic = sklearn.isotonic.IsotonicRegression().fit(x[:, 0], binary)
        encoder = pre.OneHotEncoder().fit([["a"], ["b"]])
        labels = pre.LabelEncoder().fit(["cat", "dog"])
        lda_topics = sklearn.decomposition.LatentDirichletAllocation(2, max_iter=1, **seed).fit(np.abs(x))
    # State that differs between runs: addresses and timings.
    tfidf._stop_words_id = text_pipeline[0]._stop_words_id = 0
    for name, timing in fitted["grid-search"].cv_results_.items():
        if name.endswith("_time"):
            timing[:] = 0.0
    fitted["grid-search"].refit_time_ = 0.0
    fitted |= {"tfidf": tfidf, "text-pipeline": text_pipeline, "isotonic": isotonic, "one-hot": encoder,
               "label-encoder": labels, "latent-dirichlet": lda_topics}
    return fitted


def _sklearn(c):
    for index, (name, model) in enumerate(estimators().items()):
        protocol = (5, 4, 3, 2)[index % 4]
        c.benign(f"sklearn/{name}-p{protocol}.pkl", pickle.dumps(model, protocol), ["pickle", "sklearn"])


def _joblib(c):
    models = estimators()
    chosen = ["random-forest", "logistic-regression", "pipeline", "kmeans", "tfidf", "knn", "gradient-boosting", "column-transformer"]
    for name in chosen:
        c.benign(f"joblib/{name}.joblib", saved(lambda p, m=models[name]: joblib.dump(m, p)), ["joblib", "sklearn"])
    model = models["logistic-regression"]
    for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        data = saved(lambda p, m=method: joblib.dump(model, p, compress=(m, 3)))
        if method == "gzip":
            data = data[:4] + bytes(4) + data[8:]  # gzip header time
        c.benign(f"joblib/logistic-regression-{method}.joblib", data, ["joblib", "sklearn"])
    arrays = {"a": np.arange(50, dtype="f8"), "b": np.ones((3, 4), "f4", order="F"), "name": "after the arrays"}
    c.benign("joblib/arrays-interleaved.joblib", saved(lambda p: joblib.dump(arrays, p)), ["joblib"],
             "array bytes lie between the opcodes")
    c.benign("joblib/plain-dict.pkl", saved(lambda p: joblib.dump({"threshold": 0.5}, p)), ["pickle"],
             "no array inside: indistinguishable from a plain pickle")
    c.benign("joblib/object-array.joblib", saved(lambda p: joblib.dump(np.array(["x", "yy", None], object), p)), ["joblib"])
    nested = {"scores": [np.float32(0.5), np.arange(3)], "shape": (1, 2)}
    for protocol in (2, 3, 4, 5):
        c.benign(f"joblib/nested-p{protocol}.joblib", saved(lambda p, n=protocol: joblib.dump(nested, p, protocol=n)), ["joblib"])


def _dill_cloudpickle(c):
    data = {"weights": np.arange(4.0), "labels": ["a", "b"], "config": {"lr": 1e-3}}
    for protocol in (2, 4, 5):
        c.benign(f"dill/data-p{protocol}.dill", dill.dumps(data, protocol), ["pickle"])
        c.benign(f"cloudpickle/data-p{protocol}.pkl", cloudpickle.dumps(data, protocol), ["pickle"])
    c.benign("dill/ordered.dill", dill.dumps(collections.OrderedDict(a=1, when=datetime.date(2024, 1, 2))), ["pickle"])
    model = estimators()["kmeans"]
    c.benign("cloudpickle/kmeans.pkl", cloudpickle.dumps(model), ["pickle", "sklearn"])


def _text_that_names_gadgets(c):
    """Words alone are no import: a scanner that greps raises false alarms here."""
    words = ["os.system", "posix", "system", "eval", "exec", "subprocess.Popen", "__reduce__", "cos\nsystem\n(S'x'\ntR."]
    for protocol in (0, 2, 4):
        c.benign(f"pickle/words-that-look-bad-p{protocol}.pkl", pickle.dumps(words, protocol), ["pickle"])
    vocabulary = {w: i for i, w in enumerate(["import", "os", "system", "eval", "exec", "open", "getattr", "builtins"])}
    buffer = io.BytesIO()
    pickle.Pickler(buffer, 4).dump(vocabulary)
    c.benign("pickle/code-model-vocabulary.pkl", buffer.getvalue(), ["pickle"], "strings pushed one after another")
    weights = np.frombuffer(b"cos\nsystem\n(S'echo'\ntR." * 10, dtype="u1").copy()
    c.benign("pickle/array-bytes-that-look-like-opcodes.pkl", pickle.dumps(weights, 4), ["pickle"])
