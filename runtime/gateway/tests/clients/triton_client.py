"""`tritonclient[http]`, JSON and binary, both ways."""

import sys

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

client = http.InferenceServerClient(url=sys.argv[1].removeprefix("http://"))
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("add")
assert client.is_model_ready("add", "1") and not client.is_model_ready("none")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
assert [i["name"] for i in client.get_model_metadata("add")["inputs"]] == ["INPUT0", "INPUT1"]

a, b = np.arange(8, dtype=np.int32).reshape(2, 4), np.full((2, 4), 3, dtype=np.int32)
for given in (True, False):
    for wanted in (True, False):
        inputs = [http.InferInput("INPUT0", a.shape, "INT32"), http.InferInput("INPUT1", b.shape, "INT32")]
        inputs[0].set_data_from_numpy(a, binary_data=given)
        inputs[1].set_data_from_numpy(b, binary_data=given)
        outputs = [http.InferRequestedOutput(n, binary_data=wanted) for n in ("OUTPUT0", "OUTPUT1")]
        result = client.infer("add", inputs, outputs=outputs, request_id="7")
        assert (result.as_numpy("OUTPUT0") == a + b).all() and (result.as_numpy("OUTPUT1") == a - b).all()
        assert result.get_response()["id"] == "7"
assert (client.infer("add", inputs).as_numpy("OUTPUT0") == a + b).all()

text = np.array(["one", "zwölf", ""], dtype=np.object_)
for binary in (True, False):
    given = http.InferInput("T", text.shape, "BYTES")
    given.set_data_from_numpy(text, binary_data=binary)
    output = http.InferRequestedOutput("OUTPUT0", binary_data=binary)
    got = [t.decode() if isinstance(t, bytes) else t for t in client.infer("add", [given], outputs=[output]).as_numpy("OUTPUT0")]
    assert got == list(text), got
half = http.InferInput("H", [2], "FP16")
half.set_data_from_numpy(np.array([1, 2], dtype=np.float16))
assert client.infer("add", [half]).as_numpy("OUTPUT0").tolist() == [1, 2]

try:
    client.infer("none", inputs)
    raise SystemExit("404 did not come")
except InferenceServerException as error:
    assert "no model" in error.message()
print("tritonclient works")
