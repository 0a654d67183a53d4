"""LangChain's classes for OpenAI."""

import sys

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

base = sys.argv[1] + "/v1"
chat = ChatOpenAI(base_url=base, api_key="x", model="tiny", max_retries=0)
assert chat.invoke("hello").content == "echo: hello"
assert "".join(chunk.content for chunk in chat.stream("a b c")) == "echo: a b c"


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return city


assert chat.bind_tools([weather]).invoke("weather?").tool_calls[0]["args"] == {"city": "Oslo"}


class Answer(BaseModel):
    answer: int
    city: str


assert chat.with_structured_output(Answer, method="json_schema").invoke("x").answer == 42
embeddings = OpenAIEmbeddings(base_url=base, api_key="x", model="embed", check_embedding_ctx_length=False)
assert embeddings.embed_documents(["a", "abc"])[1][0] == 3.0
print("langchain-openai works")
