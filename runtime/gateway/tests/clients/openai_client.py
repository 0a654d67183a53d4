"""The `openai` package as its users use it, and LangChain on top of it."""

import asyncio
import base64
import json
import struct
import sys

import openai

base = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=base, api_key="not-needed", max_retries=0)


def user(text):
    return [{"role": "user", "content": text}]


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}

assert [m.id for m in client.models.list()] == ["tiny", "embed", "rerank", "add"]
assert client.models.retrieve("tiny").owned_by == "weighbridge"

answer = client.chat.completions.create(model="tiny", messages=user("hello"), n=2, logprobs=True, top_logprobs=2, seed=1)
assert [c.message.content for c in answer.choices] == ["echo: hello"] * 2
assert answer.usage.prompt_tokens_details.cached_tokens == 1
assert answer.choices[0].logprobs.content[0].token == "echo: "
assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2

chunks = list(client.chat.completions.create(
    model="tiny", messages=user("slow one two"), stream=True, stream_options={"include_usage": True}, stop=["two"]))
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "echo: slow one "
assert chunks[-1].usage.completion_tokens == 3 and chunks[-1].choices == []

answer = client.chat.completions.create(model="tiny", messages=user("weather?"), tools=[TOOL], tool_choice="auto")
call = answer.choices[0].message.tool_calls[0]
assert (answer.choices[0].finish_reason, call.function.name) == ("tool_calls", "weather")
assert json.loads(call.function.arguments) == {"city": "Oslo"}
history = user("weather?") + [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
answer = client.chat.completions.create(model="tiny", messages=history, tools=[TOOL])
assert answer.choices[0].message.content == "echo: sunny"
with client.chat.completions.stream(model="tiny", messages=user("weather?"), tools=[TOOL]) as stream:
    for _ in stream:
        pass
    assert stream.get_final_completion().choices[0].message.tool_calls[0].function.name == "weather"
two = [TOOL, {"type": "function", "function": {"name": "time"}}]
for parallel, count in ((True, 2), (False, 1)):
    answer = client.chat.completions.create(
        model="tiny", messages=user("x"), tools=two, tool_choice="required", parallel_tool_calls=parallel)
    assert len(answer.choices[0].message.tool_calls) == count

from pydantic import BaseModel


class Answer(BaseModel):
    answer: int
    city: str


parsed = client.chat.completions.parse(model="tiny", messages=user("x"), response_format=Answer)
assert parsed.choices[0].message.parsed == Answer(answer=42, city="Oslo")
answer = client.chat.completions.create(model="tiny", messages=user("x"), response_format={"type": "json_object"})
assert json.loads(answer.choices[0].message.content)["answer"] == 42

# The client asks for base64 unless told otherwise.
vectors = client.embeddings.create(model="embed", input=["a", "abc"]).data
assert [v.embedding[0] for v in vectors] == [1.0, 3.0] and len(vectors[0].embedding) == 8
assert client.embeddings.create(model="embed", input="a", encoding_format="float").data[0].embedding[1] == 1.125
text = client.embeddings.create(model="embed", input=[[1, 2]], dimensions=2, encoding_format="base64").data[0].embedding
assert struct.unpack("<2f", base64.b64decode(text)) == (2.0, 2.125)

assert client.completions.create(model="tiny", prompt="a b c", max_tokens=2).choices[0].text == "echo: a "
assert "".join(c.choices[0].text for c in client.completions.create(model="tiny", prompt="a b", stream=True)) == "echo: a b"

response = client.responses.create(model="tiny", input="hello", instructions="be kind")
assert (response.output_text, response.status, response.usage.output_tokens) == ("echo: hello", "completed", 2)
response = client.responses.create(model="tiny", input="hello there", max_output_tokens=1)
assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
with client.responses.stream(model="tiny", input=user("think hard")) as stream:
    kinds = [event.type for event in stream]
    assert stream.get_final_response().output_text == "echo: think hard"
assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed", kinds
assert "response.reasoning_text.delta" in kinds and "response.output_text.delta" in kinds
tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
response = client.responses.create(model="tiny", input="weather?", tools=[tool])
call = response.output[0]
assert (call.type, call.name) == ("function_call", "weather")
items = [{"role": "user", "content": "weather?"}, call, {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
assert client.responses.create(model="tiny", input=items, tools=[tool]).output_text == "echo: rain"
with client.responses.stream(model="tiny", input="weather?", tools=[tool]) as stream:
    kinds = [event.type for event in stream]
    assert stream.get_final_response().output[0].arguments == '{"city": "Oslo"}'
assert "response.function_call_arguments.done" in kinds
assert client.responses.parse(model="tiny", input="x", text_format=Answer).output_parsed.answer == 42

for kind, model, text in (
    (openai.NotFoundError, "none", "x"),
    (openai.PermissionDeniedError, "secret", "x"),
    (openai.BadRequestError, "tiny", "too-long"),
    (openai.InternalServerError, "tiny", "busy"),
):
    try:
        client.chat.completions.create(model=model, messages=user(text))
        raise SystemExit(f"{kind} did not come")
    except kind as error:
        assert error.body["message"], error
try:
    for _ in client.chat.completions.create(model="tiny", messages=user("a break b c"), stream=True):
        pass
    raise SystemExit("the failure in the stream was not told")
except openai.APIError as error:
    assert "worker" in error.message


async def several():
    aclient = openai.AsyncOpenAI(base_url=base, api_key="x", max_retries=0)

    async def one(at):
        stream = await aclient.chat.completions.create(model="tiny", messages=user(f"slow {at}"), stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream])

    assert await asyncio.gather(*(one(at) for at in range(32))) == [f"echo: slow {at}" for at in range(32)]
    # Whoever stops listening leaves nothing behind.
    stream = await aclient.chat.completions.create(model="tiny", messages=user("forever"), stream=True)
    async for _ in stream:
        break
    await stream.close()


asyncio.run(several())
print("openai", openai.__version__, "works")
