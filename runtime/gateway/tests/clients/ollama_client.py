"""The `ollama` package, with nothing changed but the port."""

import sys

import ollama

client = ollama.Client(host=sys.argv[1])
assert [m.model for m in client.list().models] == ["tiny", "embed", "rerank", "add"]
assert client.ps().models[0].model == "tiny"
shown = client.show("tiny")
assert shown.capabilities == ["completion", "tools"] and shown.details.parameter_size == "1.5B"
assert shown.modelinfo["fake.context_length"] == 4096

messages = [{"role": "user", "content": "hello there"}]
answer = client.chat(model="tiny:latest", messages=messages, options={"temperature": 0, "num_predict": 2, "seed": 1})
assert (answer.message.content, answer.done_reason) == ("echo: hello ", "length")
assert answer.eval_count == 2 and answer.eval_duration == 5000
parts = list(client.chat(model="tiny", messages=messages, stream=True, keep_alive="5m"))
assert "".join(p.message.content or "" for p in parts) == "echo: hello there" and parts[-1].done


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: where
    """


call = client.chat(model="tiny", messages=[{"role": "user", "content": "weather?"}], tools=[weather]).message.tool_calls[0]
assert (call.function.name, call.function.arguments) == ("weather", {"city": "Oslo"})
assert client.chat(model="tiny", messages=messages, format="json").message.content.startswith("{")
assert client.chat(model="tiny", messages=messages, format={"type": "object"}).message.content.startswith("{")
thought = client.chat(model="tiny", messages=[{"role": "user", "content": "think"}], think=True).message
assert (thought.thinking, thought.content) == ("hm", "echo: think")

assert client.generate(model="tiny", prompt="a b").response == "echo: a b"
assert "".join(p.response for p in client.generate(model="tiny", prompt="a b", raw=True, stream=True)) == "echo: a b"
assert client.generate(model="tiny").done_reason == "load"
assert client.embed(model="embed", input=["a", "abc"]).embeddings[1][0] == 3.0
assert client.embeddings(model="embed", prompt="ab").embedding[0] == 2.0

for ask, status in (
    (lambda: client.pull("llama3"), 403),
    (lambda: client.delete("tiny"), 403),
    (lambda: client.chat(model="none", messages=messages), 404),
    (lambda: client.chat(model="secret", messages=messages), 403),
):
    try:
        ask()
        raise SystemExit(f"{status} did not come")
    except ollama.ResponseError as error:
        assert error.status_code == status and error.error, error
try:
    list(client.generate(model="tiny", prompt="a break b", stream=True))
    raise SystemExit("the failure in the stream was not told")
except ollama.ResponseError as error:
    assert "worker" in error.error
print("ollama works")
