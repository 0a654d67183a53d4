"""A private Sigstore instance for tests, on loopback: an identity provider, a
certificate authority with its certificate log (Fulcio), a transparency log
(Rekor, version 1) and a timestamp authority (RFC 3161, by `openssl ts`).

    fake.py serve DIR     writes trusted_root.json, trust_config.json and so on
                          into DIR, prints its addresses (plain, and by TLS with
                          tls.pem as authority), serves until stdin closes

Paths may begin with a fault, as in `/bad-set/api/v1/log/entries`: see FAULTS.
Everything is made up at each start; no key outlives the process.
"""

import base64
import datetime as dt
import hashlib
import http.server
import json
import pathlib
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.oid import ObjectIdentifier as Oid

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SHA256 = hashes.SHA256()
DAY = dt.timedelta(days=1)
ORIGIN = "rekor.fake.example"  # no spaces: it signs notes
IN_TOTO = "application/vnd.in-toto+json"

# What may be wrong with an answer, and which service then lies.
FAULTS = {
    "no-sct", "bad-sct", "other-key", "other-identity", "other-issuer", "other-root",  # authority
    "bad-set", "bad-proof", "bad-checkpoint", "late", "other-entry",  # log
    "stale-time",  # timestamps
    "error", "echo", "garbage", "huge", "endless", "hang", "drip", "redirect", "close",  # any
}


def b64(data):
    return base64.b64encode(data).decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def spki(key):
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key):
    return hashlib.sha256(spki(key)).digest()


def sign(key, message):
    return key.sign(message, ec.ECDSA(SHA256))


def now():
    return dt.datetime.now(dt.timezone.utc).replace(microsecond=0)


def der(tag, content):
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def named(name):
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fake.example"),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])


def usage(signs=False, certifies=False):
    return x509.KeyUsage(signs, False, False, False, False, certifies, certifies, False, False)


def authority(name, key, above=None, above_key=None, depth=1):
    """A certificate authority: a root, or below another."""
    issuer = above.subject if above else named(name)
    builder = (
        x509.CertificateBuilder().subject_name(named(name)).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now() - DAY).not_valid_after(now() + 36500 * DAY)
        .add_extension(x509.BasicConstraints(True, depth), True).add_extension(usage(certifies=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if above:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
    return builder.sign(above_key or key, SHA256)


class Fulcio:
    """Binds keys to identities for ten minutes."""

    def __init__(self):
        self.root_key, self.key, self.log_key = new_key(), new_key(), new_key()
        self.root = authority("fake root", self.root_key)
        self.certificate = authority("fake intermediate", self.key, self.root, self.root_key, 0)

    def certify(self, public_key, identity, issuer, fault=None, start=None):
        serial, start = x509.random_serial_number(), start or now() - dt.timedelta(seconds=5)
        name = x509.RFC822Name(identity) if "@" in identity else x509.UniformResourceIdentifier(identity)
        builder = (
            x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.certificate.subject)
            .public_key(public_key).serial_number(serial)
            .not_valid_before(start).not_valid_after(start + dt.timedelta(minutes=10))
            .add_extension(usage(signs=True), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .add_extension(x509.SubjectAlternativeName([name]), True)
            .add_extension(x509.UnrecognizedExtension(Oid("1.3.6.1.4.1.57264.1.1"), issuer.encode()), False)
            .add_extension(x509.UnrecognizedExtension(Oid("1.3.6.1.4.1.57264.1.8"), der(0x0C, issuer.encode())), False)
        )
        precertificate = builder.sign(self.key, SHA256)
        if fault == "no-sct":
            return precertificate
        # RFC 6962, section 3.2: the log's promise is over the certificate
        # without it.
        at = int(start.timestamp() * 1000)
        tbs = precertificate.tbs_certificate_bytes
        signed = (b"\0\0" + struct.pack(">Q", at) + b"\0\1" + key_id(self.key)
                  + struct.pack(">I", len(tbs))[1:] + tbs + b"\0\0")
        signature = sign(new_key() if fault == "bad-sct" else self.log_key, signed)
        promise = (b"\0" + key_id(self.log_key) + struct.pack(">Q", at) + b"\0\0" + b"\4\3"
                   + struct.pack(">H", len(signature)) + signature)
        promises = struct.pack(">HH", len(promise) + 2, len(promise)) + promise
        extension = x509.UnrecognizedExtension(Oid("1.3.6.1.4.1.11129.2.4.2"), der(0x04, promises))
        return builder.add_extension(extension, False).sign(self.key, SHA256)


class Rekor:
    """A Merkle tree (RFC 6962) that grows by a leaf per entry."""

    def __init__(self):
        self.key, self.leaves, self.lock = new_key(), [], threading.Lock()

    def append(self, body, at=None, fault=None):
        """The entry as the API gives it."""
        at = int(time.time()) if at is None else at
        with self.lock:
            index = len(self.leaves)
            self.leaves.append(hashlib.sha256(b"\0" + body).digest())
            leaves = list(self.leaves)
        root, log = tree(leaves), key_id(self.key)
        promised = {"body": b64(body), "integratedTime": at, "logID": log.hex(), "logIndex": index}
        promise = sign(self.key, rfc8785.dumps(promised))
        if fault == "bad-proof":
            root = hashlib.sha256(root).digest()
        note = f"{ORIGIN} - 1\n{len(leaves)}\n{b64(root)}\n"
        signed = sign(new_key() if fault == "bad-checkpoint" else self.key, note.encode())
        if fault == "bad-set":
            promise = sign(new_key(), rfc8785.dumps(promised))
        return {**promised, "verification": {
            "signedEntryTimestamp": b64(promise),
            "inclusionProof": {
                "checkpoint": f"{note}\n\u2014 {ORIGIN} {b64(log[:4] + signed)}\n",
                "hashes": [h.hex() for h in path(index, leaves)],
                "logIndex": index, "rootHash": root.hex(), "treeSize": len(leaves),
            },
        }}


def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:])).digest()


def path(index, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return path(index, leaves[:k]) + [tree(leaves[k:])]
    return path(index - k, leaves[k:]) + [tree(leaves[:k])]


def split(n):
    """The largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1


def log_body(envelope, payload, signature, verifier):
    return rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(envelope.encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": signature, "verifier": verifier}],
    }})


class TimestampAuthority:
    """RFC 3161, by OpenSSL."""

    def __init__(self, folder):
        self.folder, self.lock = folder, threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self.root_key, self.key = new_key(), new_key()
        self.root = authority("fake timestamp root", self.root_key, depth=0)
        self.certificate = (
            x509.CertificateBuilder().subject_name(named("fake timestamps")).issuer_name(self.root.subject)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now() - DAY).not_valid_after(now() + 36500 * DAY)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
            .add_extension(usage(signs=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key()), False)
            .sign(self.root_key, SHA256)
        )
        (folder / "tsa.pem").write_bytes(self.certificate.public_bytes(PEM))
        (folder / "root.pem").write_bytes(self.root.public_bytes(PEM))
        plain = serialization.NoEncryption()
        (folder / "tsa.key").write_bytes(self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
        (folder / "serial").write_text("01")
        (folder / "openssl.cnf").write_text(
            f"[tsa]\ndefault_tsa=t\n[t]\nserial={folder}/serial\nsigner_cert={folder}/tsa.pem\n"
            f"signer_key={folder}/tsa.key\ncerts={folder}/root.pem\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n"
            "digests=sha256\naccuracy=secs:1\nordering=no\ntsa_name=no\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n"
        )

    def stamp(self, query, fault=None):
        if fault == "stale-time":
            # For another signature.
            query = query[:-35] + hashlib.sha256(b"another").digest() + query[-3:]
        with self.lock:
            asked, answer = self.folder / "query", self.folder / "answer"
            asked.write_bytes(query)
            command = ["openssl", "ts", "-reply", "-config", self.folder / "openssl.cnf", "-queryfile", asked]
            subprocess.run([*command, "-out", answer], check=True, capture_output=True)
            return answer.read_bytes()


class Instance:
    """All of it."""

    def __init__(self, folder):
        self.fulcio, self.rekor, self.login_key = Fulcio(), Rekor(), new_key()
        self.tsa = TimestampAuthority(folder / "tsa")
        # An authority nobody trusts, with the same names.
        self.stranger = Fulcio()
        self.url = "http://fake.example"
        # Entries of others, so that proofs have hashes.
        for n in range(5):
            self.rekor.append(b"somebody else's entry %d" % n)

    def token(self, claims):
        claims = {"iss": f"{self.url}/login", "aud": "sigstore", "iat": int(time.time()) - 5,
                  "exp": int(time.time()) + 600, **claims}
        head = b64url(b'{"alg":"ES256","typ":"JWT"}') + "." + b64url(json.dumps(claims).encode())
        r, s = utils.decode_dss_signature(sign(self.login_key, head.encode()))
        return f"{head}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def claims(self, token):
        """The claims of a token, verified."""
        head, _, tail = token.rpartition(".")
        signature = unb64url(tail)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        self.login_key.public_key().verify(utils.encode_dss_signature(r, s), head.encode(), ec.ECDSA(SHA256))
        claims = json.loads(unb64url(head.split(".")[1]))
        assert claims["exp"] > time.time(), "the token has expired"
        return claims

    def certificate_for(self, request, bearer, fault):
        """Fulcio's `CreateSigningCertificate`: with a proof of possession, or
        with a signing request as the Python client sends it."""
        claims = self.claims(request.get("credentials", {}).get("oidcIdentityToken") or bearer)
        identity = claims["email"] if claims.get("email_verified") else claims["sub"]
        if "certificateSigningRequest" in request:
            signing_request = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
            assert signing_request.is_signature_valid
            public_key = signing_request.public_key()
        else:
            part = request["publicKeyRequest"]
            public_key = serialization.load_pem_public_key(part["publicKey"]["content"].encode())
            proof = base64.b64decode(part["proofOfPossession"], validate=True)
            public_key.verify(proof, identity.encode(), ec.ECDSA(SHA256))
        if fault == "other-key":
            public_key = new_key().public_key()
        if fault == "other-identity":
            identity = "mallory@example.com"
        issuer = "https://evil.example" if fault == "other-issuer" else claims["iss"]
        fulcio = self.stranger if fault == "other-root" else self.fulcio
        leaf = fulcio.certify(public_key, identity, issuer, fault)
        chain = [c.public_bytes(PEM).decode() for c in (leaf, fulcio.certificate, fulcio.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def logged(self, request, fault):
        """Rekor's `createLogEntry`, which verifies what it logs."""
        assert (request["kind"], request["apiVersion"]) == ("dsse", "0.0.1")
        proposed = request["spec"]["proposedContent"]
        envelope, [verifier] = json.loads(proposed["envelope"]), proposed["verifiers"]
        payload, [signature] = base64.b64decode(envelope["payload"]), envelope["signatures"]
        leaf = x509.load_pem_x509_certificate(base64.b64decode(verifier))
        leaf.public_key().verify(base64.b64decode(signature["sig"]), encoded(payload), ec.ECDSA(SHA256))
        body = log_body(proposed["envelope"], payload, signature["sig"], verifier)
        if fault == "other-entry":
            body = log_body(proposed["envelope"], payload + b" ", signature["sig"], verifier)
        at = int(time.time()) + 3600 if fault == "late" else None
        return {hashlib.sha256(body).hexdigest(): self.rekor.append(body, at, fault)}

    def trusted_root(self):
        valid = {"start": (now() - DAY).isoformat().replace("+00:00", "Z")}

        def key(k):
            return {"rawBytes": b64(spki(k)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}

        def chain(*certificates):
            return {"certificates": [{"rawBytes": b64(c.public_bytes(DER))} for c in certificates]}

        def log(k, name):
            return {"baseUrl": f"https://{name}.fake.example", "hashAlgorithm": "SHA2_256", "publicKey": key(k),
                    "logId": {"keyId": b64(key_id(k))}}

        def certifier(name, *certificates):
            return {"subject": {"organization": "fake.example", "commonName": name},
                    "uri": f"https://{name}.fake.example", "certChain": chain(*certificates), "validFor": valid}

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.rekor.key, "rekor")],
            "certificateAuthorities": [certifier("fulcio", self.fulcio.certificate, self.fulcio.root)],
            "ctlogs": [log(self.fulcio.log_key, "ct")],
            "timestampAuthorities": [certifier("tsa", self.tsa.certificate, self.tsa.root)],
        }

    def trust_config(self, timestamps):
        def service(url):
            return {"url": url, "majorApiVersion": 1, "validFor": {"start": "2020-01-01T00:00:00Z"}, "operator": "fake"}

        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service(self.url)], "oidcUrls": [service(f"{self.url}/login")],
                "rekorTlogUrls": [service(self.url)], "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [service(f"{self.url}/timestamp")] if timestamps else [],
                "tsaConfig": {"selector": "ANY"},
            },
        }


def encoded(payload):
    return b"DSSEv1 %d %s %d " % (len(IN_TOTO), IN_TOTO.encode(), len(payload)) + payload


def handler(instance):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body, kind="application/json", **headers):
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            if url.path == "/token":
                claims = json.loads(urllib.parse.parse_qs(url.query)["claims"][0])
                return self.answer(200, instance.token(claims).encode(), "text/plain")
            if url.path == "/login/.well-known/openid-configuration":
                login = f"{instance.url}/login"
                return self.answer(200, {"issuer": login, "authorization_endpoint": f"{login}/auth",
                                         "token_endpoint": f"{login}/token"})
            self.answer(404, {"message": "not found"})

        def do_POST(self):
            length = int(self.headers["content-length"] or 0)
            body = self.rfile.read(length)
            fault, path = None, self.path
            first, _, rest = path.lstrip("/").partition("/")
            if first in FAULTS:
                fault, path = first, f"/{rest}"
            try:
                if not self.fails(fault, body):
                    self.serve(path, body, fault)
            except (BrokenPipeError, ConnectionResetError):
                pass
            except Exception as error:
                self.answer(400, {"code": 3, "message": f"{type(error).__name__}: {error}"})

        def serve(self, path, body, fault):
            if path == "/api/v2/signingCert":
                bearer = (self.headers["authorization"] or "").removeprefix("Bearer ")
                self.answer(200, instance.certificate_for(json.loads(body), bearer, fault))
            elif path == "/api/v1/log/entries":
                self.answer(201, instance.logged(json.loads(body), fault))
            elif path == "/timestamp":
                self.answer(201, instance.tsa.stamp(body, fault), "application/timestamp-reply")
            else:
                self.answer(404, {"message": "not found"})

        def fails(self, fault, body):
            match fault:
                case "error":
                    self.answer(500, {"message": "out of order"})
                case "echo":
                    self.answer(400, {"message": f"cannot use {body.decode(errors='replace')}"})
                case "garbage":
                    self.answer(200, b"\x00\xff<html>")
                case "huge":
                    self.send_response(200)
                    self.send_header("content-length", str(10 << 30))
                    self.end_headers()
                    for _ in range(10 << 10):
                        self.wfile.write(bytes(1 << 20))
                case "endless":
                    self.close_connection = True
                    self.send_response(200)
                    self.end_headers()
                    while True:
                        self.wfile.write(b'{"a":' * 100_000)
                case "hang":
                    time.sleep(60)
                    self.close_connection = True
                case "drip":
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    for _ in range(1000):
                        self.wfile.write(b" ")
                        time.sleep(0.2)
                case "redirect":
                    self.answer(307, {}, location=f"{instance.url}{self.path.removeprefix('/redirect')}")
                case "close":
                    self.close_connection = True
                case _:
                    return False
            return True

    return Handler


def tls(folder):
    """A server's side of TLS for `localhost`, its own authority."""
    key = new_key()
    certificate = (
        x509.CertificateBuilder().subject_name(named("localhost")).issuer_name(named("localhost"))
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now() - DAY).not_valid_after(now() + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, SHA256)
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(PEM))
    plain = serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    return context


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def serve(folder):
    folder.mkdir(parents=True, exist_ok=True)
    instance = Instance(folder)
    server = Server(("127.0.0.1", 0), handler(instance))
    instance.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secure = Server(("127.0.0.1", 0), handler(instance))
    secure.socket = tls(folder).wrap_socket(secure.socket, server_side=True)
    threading.Thread(target=secure.serve_forever, daemon=True).start()
    documents = {
        "trusted_root.json": instance.trusted_root(),
        "trust_config.json": instance.trust_config(timestamps=False),
        "trust_config_timestamps.json": instance.trust_config(timestamps=True),
        "signing_config.json": instance.trust_config(timestamps=False)["signingConfig"],
        "other_root.json": Instance(folder / "other").trusted_root(),
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1) + "\n")
    print(instance.url, f"https://localhost:{secure.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder]:
            serve(pathlib.Path(folder).resolve())
        case _:
            sys.exit(__doc__)
