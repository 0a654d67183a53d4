"""Writes classes.txt and functions.txt: the names that honest Keras configurations hold.

    python tables.py SOURCE...        each SOURCE an unpacked wheel of keras, tf_keras, keras_hub, keras_cv or tensorflow_addons

The sources are parsed, never imported. Classes count when their package holds
serialisable objects; functions when the package is one of those that a
configuration may name by function: activations, losses, metrics, ops.
"""

import ast
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
# Parts of a path that hold tests or tools, never objects of a configuration.
SKIPPED = {"testing", "testing_infra", "tests", "benchmarks", "tools", "datasets", "distribute", "distribution", "saving", "export",
           "callbacks", "callbacks.py", "utils", "wrappers", "visualization", "tree", "trainers", "backend", "backend.py", "dtensor",
           "data_adapters", "visualizers", "serialization", "seq2seq"}
# Packages under `utils` and `backend` that do hold layers.
KEPT = ("utils/torch_utils.py", "utils/jax_layer.py", "utils/sequence_utils.py")
NOT_CLASSES = {"TFSMLayer", "Lambda", "TFOpLambda", "SlicingOpLambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "ClassMethod", "InstanceMethod", "InstanceProperty", "TensorBoard", "VLLMContext",
               "DirectoryIterator", "DataFrameIterator", "DistributedCallbackModel",
               "layers", "models", "retinanet"}
# Functions of the same packages that resolve or rebuild objects by name.
NOT_FUNCTIONS = {"get", "deserialize", "serialize", "custom_gradient", "convert_to_numpy", "populate_deserializable_objects"}
NOT_ENDINGS = ("Test", "Tests", "Adapter", "Handler", "Iterator", "TrainingLoop", "Mixin", "Exception", "Manager", "Dispatcher")
FUNCTION_PLACES = ("activations", "losses", "metrics", "/ops/", "initializers", "regularizers", "constraints")


def main(sources):
    classes, functions = set(), set()
    for source in sources:
        for path in pathlib.Path(source).rglob("*.py"):
            relative = path.relative_to(source).as_posix()
            if path.name.endswith("_test.py") or "_api" in relative or "/api/" in relative:
                continue
            if SKIPPED & set(relative.split("/")) and not relative.endswith(KEPT):
                continue
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.endswith(NOT_ENDINGS) and node.name not in NOT_CLASSES:
                    classes.update({node.name, *exported(node)})
                if isinstance(node, ast.FunctionDef) and any(p in relative for p in FUNCTION_PLACES) and not node.name.startswith("_"):
                    functions.update({node.name, *exported(node)})
    write("classes.txt", "Classes that Keras 2 and 3 and their sister libraries write into configurations.", classes - NOT_CLASSES)
    write("functions.txt", "Functions that Keras configurations name: activations, losses, metrics, operations.", functions - NOT_FUNCTIONS)


def exported(node):
    """Names under which decorators like `@keras_export("keras.layers.MaxPool2D")` publish it."""
    calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and "export" in ast.unparse(d.func)]
    texts = [c.value for call in calls for c in ast.walk(call) if isinstance(c, ast.Constant) and isinstance(c.value, str)]
    return {text.rsplit(".", 1)[-1] for text in texts if "." in text}


def write(name, title, names):
    text = f"# {title}\n# Written by tables.py.\n" + "".join(f"{n}\n" for n in sorted(names))
    (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
