"""Writes tests/fixtures/keyless: a model, and bundles over it as an instance of
its own signed them, good and bad. They hold for ever: a keyless signature is
judged by the time in the log.

    fixtures.py DIR
"""

import base64
import datetime as dt
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives import serialization

import fake

IDENTITY = "ml@example.com"
WORKFLOW = "https://forge.example/org/model/.forge/release.yml@refs/tags/v1"
FILES = {"config.json": b'{"architectures": ["LlamaForCausalLM"]}\n', "weights/model.bin": b"weights\n" * 8}
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def statement(name):
    resources = [{"name": path, "algorithm": "sha256", "digest": hashlib.sha256(content).hexdigest()}
                 for path, content in sorted(FILES.items())]
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    return json.dumps({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False,
                              "ignore_paths": [".git", ".gitattributes", ".github", ".gitignore"]},
            "resources": resources,
        },
    }).encode()


def entry(logged):
    """A log's answer as bundles write it."""
    def hashed(text):
        return fake.b64(bytes.fromhex(text))

    verification = logged["verification"]
    proof = verification["inclusionProof"]
    return {
        "logIndex": str(logged["logIndex"]), "logId": {"keyId": hashed(logged["logID"])},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"}, "integratedTime": str(logged["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": verification["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]), "rootHash": hashed(proof["rootHash"]),
            "treeSize": str(proof["treeSize"]), "hashes": [hashed(h) for h in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": logged["body"],
    }


def bundle(instance, identity=IDENTITY, fault=None, timestamp=False):
    payload, key = statement("model"), fake.new_key()
    # Long enough ago for an entry that came an hour late to be in the past. A
    # timestamp can only be of now.
    start = fake.now() - dt.timedelta(seconds=10 if timestamp else 7200)
    fulcio = instance.stranger if fault == "other-root" else instance.fulcio
    leaf = fulcio.certify(key.public_key(), identity, "https://login.example.com", fault, start)
    signature = fake.sign(fake.new_key() if fault == "bad-signature" else key, fake.encoded(payload))
    envelope = {"payload": fake.b64(payload), "payloadType": fake.IN_TOTO,
                "signatures": [{"sig": fake.b64(signature), "keyid": ""}]}
    verifier = fake.b64(leaf.public_bytes(serialization.Encoding.PEM))
    logged = payload + b" " if fault == "other-entry" else payload
    body = fake.log_body(json.dumps(envelope), logged, fake.b64(signature), verifier)
    at = int(start.timestamp()) + (3600 if fault == "late" else 5)
    material = {
        "certificate": {"rawBytes": fake.b64(leaf.public_bytes(fake.DER))},
        "tlogEntries": [] if fault == "no-entry" else [entry(instance.rekor.append(body, at, fault))],
    }
    if timestamp:
        query = base64.b64decode("MDkCAQEwMTANBglghkgBZQMEAgEFAAQg") + hashlib.sha256(signature).digest() + b"\1\1\xff"
        stamped = {"signedTimestamp": fake.b64(instance.tsa.stamp(query))}
        material["timestampVerificationData"] = {"rfc3161Timestamps": [stamped]}
    return {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def main(folder):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        instance, other = fake.Instance(scratch / "a"), fake.Instance(scratch / "b")
        for path, content in FILES.items():
            (folder / "model" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "model" / path).write_bytes(content)
        write(folder / "trusted_root.json", instance.trusted_root())
        write(folder / "other_root.json", other.trusted_root())
        write(folder / "good.sig", bundle(instance))
        write(folder / "good-workflow.sig", bundle(instance, WORKFLOW))
        write(folder / "good-timestamp.sig", bundle(instance, timestamp=True))
        for fault in ["bad-set", "bad-proof", "bad-checkpoint", "bad-sct", "bad-signature", "late", "no-entry",
                      "no-sct", "other-entry", "other-root"]:
            write(folder / f"{fault}.sig", bundle(instance, fault=fault))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    subprocess.run(["openssl", "version"], check=True, capture_output=True)
    main(pathlib.Path(sys.argv[1]))
