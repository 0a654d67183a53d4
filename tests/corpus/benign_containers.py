"""Honest containers around models: archives, llamafile, NeMo, TorchServe, stores."""

import hashlib
import json

import torch

import zips
from archives import COMPRESSORS, seven_zip, tar
from benign_gguf import model as gguf_model
from benign_safetensors import repository
from benign_torch import modules, saved_torch
from chat_templates import BENIGN as TEMPLATES
from corpus import Corpus
from markers import elf
from zips import DEFLATED, Member


def make(c: Corpus):
    torch.manual_seed(7)
    _archives(c)
    _llamafile(c)
    _nemo(c)
    _mar(c)
    _mlflow(c)
    _ollama(c)
    _oci(c)


def _archives(c):
    files = {name: data.encode() if isinstance(data, str) else data for name, data in repository().items()}
    c.benign("archives/model.zip", zips.archive([Member(n, d, DEFLATED) for n, d in files.items()]), [])
    c.benign("archives/stored.zip", zips.archive(list(files.items())), [])
    c.benign("archives/in-a-directory.zip", zips.archive([Member("model/", b"", external_attributes=0o40755 << 16)] + [Member(f"model/{n}", d, DEFLATED) for n, d in files.items()]), [])
    plain = tar({f"model/{name}": data for name, data in files.items()})
    c.benign("archives/model.tar", plain, [])
    for suffix, pack in COMPRESSORS.items():
        c.benign(f"archives/model.tar.{suffix}", pack(plain), [])
    c.benign("archives/model.tgz", COMPRESSORS["gz"](plain), [])
    c.benign("archives/model.7z", seven_zip(files), [], verdict=("clean", "unknown"))
    c.benign("archives/model.safetensors.gz", COMPRESSORS["gz"](files["model.safetensors"]), [])
    c.benign("archives/zip-in-zip.zip", zips.archive([("inner.zip", zips.archive(list(files.items())))]), [])
    c.benign("archives/torch.zip", zips.archive([("pytorch_model.bin", saved_torch(modules()["mlp"].state_dict()))]), [])


def _llamafile(c):
    gguf = gguf_model(TEMPLATES["chatml"])
    arguments = "-m\nmodel.gguf\n--host\n127.0.0.1\n...\n"
    members = [Member("model.gguf", gguf), Member(".args", arguments.encode())]
    ape = b"MZqFpD='\n" + b"\0" * 55 + b"\n' <<'@weighbridge'\n" + b"weighbridge-corpus: a header, not a program\n@weighbridge\n"
    c.benign("llamafile/model.llamafile", zips.archive(members, prefix=ape), ["llamafile"], "by hand: APE header, stored GGUF; it is a program in real life", ("clean", "suspicious"))
    c.benign("llamafile/assimilated-elf", zips.archive(members, prefix=elf() + bytes(200)), ["llamafile"], "by hand: after assimilation", ("clean", "suspicious"))


def nemo(config, checkpoint, extra=None, pack=None):
    """A .nemo: a tar with configuration and weights."""
    data = tar({"./model_config.yaml": config, "./model_weights.ckpt": checkpoint, **(extra or {})})
    return COMPRESSORS[pack](data) if pack else data


NEMO_CONFIG = """target: nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE
nemo_version: 2.4.0
sample_rate: 16000
preprocessor:
  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor
  normalize: per_feature
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  feat_in: 80
  d_model: 8
decoder:
  _target_: nemo.collections.asr.modules.ConvASRDecoder
  num_classes: 28
optim:
  name: adamw
  lr: 0.001
"""


def _nemo(c):
    checkpoint = saved_torch(modules()["mlp"].state_dict())
    c.benign("nemo/model.nemo", nemo(NEMO_CONFIG, checkpoint), ["nemo"])
    c.benign("nemo/compressed.nemo", nemo(NEMO_CONFIG, checkpoint, pack="gz"), ["nemo"])
    c.benign("nemo/model_config.yaml", NEMO_CONFIG, [], "nemo classes in _target_ are ordinary", ("clean", "unknown"))


def _mar(c):
    from malicious_torch import mar

    plain = "from ts.torch_handler.image_classifier import ImageClassifier\n\n\nclass Handler(ImageClassifier):\n    topk = 5\n"
    c.benign("torchserve/classifier.mar", mar(plain), ["torchserve-mar"], "a plain handler: code, but nothing dangerous", ("clean", "suspicious"))
    manifest = {"runtime": "python", "archiverVersion": "0.12.0", "model": {"modelName": "m", "serializedFile": "model.pt", "handler": "image_classifier", "modelVersion": "1.0"}}
    c.benign("torchserve/built-in-handler.mar", zips.archive([("MAR-INF/MANIFEST.json", json.dumps(manifest)), ("model.pt", saved_torch(modules()["linear"].state_dict()))]), ["torchserve-mar"])


def _mlflow(c):
    import pickle

    from benign_pickle import estimators

    mlmodel = "artifact_path: model\nflavors:\n  python_function:\n    env:\n      virtualenv: python_env.yaml\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n    python_version: 3.11.7\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n    sklearn_version: 1.9.1\nmlflow_version: 3.4.0\n"
    c.benign("mlflow/model.pkl", pickle.dumps(estimators()["logistic-regression"]), ["pickle", "sklearn"])
    c.benign("mlflow/MLmodel", mlmodel, [], verdict=("clean", "unknown"))
    c.companion("benign/mlflow/requirements.txt", "mlflow==3.4.0\nscikit-learn==1.9.1\n")


def ollama_store(files, digest=None):
    """{path: bytes} of an Ollama store. `files` maps a media type suffix to bytes."""
    layers, blobs = [], {}
    for kind, data in files.items():
        name = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256-{(digest or {}).get(kind, name)}"] = data
        layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{(digest or {}).get(kind, name)}", "size": len(data)})
    config = json.dumps({"model_format": "gguf", "model_family": "llama", "model_type": "1B", "file_type": "F32", "architecture": "amd64", "os": "linux",
                         "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}).encode()
    name = hashlib.sha256(config).hexdigest()
    blobs[f"blobs/sha256-{name}"] = config
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{name}", "size": len(config)}, "layers": layers}
    return {**blobs, "manifests/registry.example.invalid/library/tiny/latest": json.dumps(manifest).encode()}


def _ollama(c):
    template = b"{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    files = {"model": gguf_model(TEMPLATES["chatml"]), "template": template, "params": b'{"stop":["<|im_end|>"],"temperature":0.7}', "license": b"Apache License\nVersion 2.0, January 2004\n", "system": b"You are a helpful assistant."}
    for path, data in ollama_store(files).items():
        if path.startswith("manifests"):
            c.benign(f"ollama/models/{path}", data, ["oci-model"], verdict=("clean",))
        elif data[:4] == b"GGUF":
            c.benign(f"ollama/models/{path}", data, ["gguf"], "named by its SHA-256")
        else:
            c.companion(f"benign/ollama/models/{path}", data)


def oci_layout(layers, artifact="application/vnd.cncf.model.manifest.v1+json", config_type="application/vnd.cncf.model.config.v1+json"):
    """{path: bytes} of an OCI image layout; `layers` are (media type, bytes, title)."""
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    config = {"mediaType": config_type, **blob(json.dumps({"descriptor": {"name": "tiny", "licenses": ["Apache-2.0"]}, "config": {"format": "safetensors"}, "modelfs": {"type": "layers", "diffIds": []}}).encode())}
    described = [{"mediaType": kind, **blob(data), "annotations": {"org.opencontainers.image.title": title, "org.cncf.model.filepath": title}} for kind, data, title in layers]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": artifact, "config": config, "layers": described}).encode()
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **blob(manifest), "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    files["index.json"] = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}).encode()
    return files


def _oci(c):
    files = {name: data.encode() if isinstance(data, str) else data for name, data in repository().items()}
    weights = ("application/vnd.cncf.model.weight.v1.raw", files["model.safetensors"], "model.safetensors")
    packed = ("application/vnd.cncf.model.weight.config.v1.tar", tar({"config.json": files["config.json"]}), "config.json")
    for path, data in oci_layout([weights, packed]).items():
        if path == "index.json":
            c.benign(f"oci/layout/{path}", data, [], verdict=("clean", "unknown"))
        elif data == weights[1]:
            c.benign(f"oci/layout/{path}", data, ["safetensors"])
        elif b'"artifactType"' in data:
            c.benign(f"oci/layout/{path}", data, ["oci-model"])
        else:
            c.companion(f"benign/oci/layout/{path}", data)
    gguf = gguf_model(None)
    docker = oci_layout([("application/vnd.docker.ai.gguf.v3", gguf, "model.gguf")], "application/vnd.docker.ai.model.v1", "application/vnd.docker.ai.model.config.v0.1+json")
    for path, data in docker.items():
        if data == gguf:
            c.benign(f"oci/docker-model/{path}", data, ["gguf"])
        else:
            c.companion(f"benign/oci/docker-model/{path}", data)


