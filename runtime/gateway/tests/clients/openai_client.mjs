// The `openai` package of Node.
import assert from "node:assert";
import { createRequire } from "node:module";

const require = createRequire(process.argv[3] + "/");
const OpenAI = require("openai").default;
const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "x", maxRetries: 0 });
const messages = [{ role: "user", content: "slow one two" }];

const answer = await client.chat.completions.create({ model: "tiny", messages });
assert.equal(answer.choices[0].message.content, "echo: slow one two");
let text = "";
for await (const chunk of await client.chat.completions.create({ model: "tiny", messages, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
}
assert.equal(text, "echo: slow one two");
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
const called = await client.chat.completions.create({ model: "tiny", messages: [{ role: "user", content: "weather?" }], tools });
assert.equal(called.choices[0].message.tool_calls[0].function.name, "weather");
const schema = { type: "json_schema", json_schema: { name: "a", schema: { type: "object" } } };
const json = await client.chat.completions.create({ model: "tiny", messages, response_format: schema });
assert.equal(JSON.parse(json.choices[0].message.content).answer, 42);
const vectors = await client.embeddings.create({ model: "embed", input: ["a", "abc"] });
assert.equal(vectors.data[1].embedding[0], 3);
const response = await client.responses.create({ model: "tiny", input: "hello" });
assert.equal(response.output_text, "echo: hello");
const kinds = [];
for await (const event of await client.responses.create({ model: "tiny", input: "hello", stream: true })) kinds.push(event.type);
assert.equal(kinds.at(-1), "response.completed");
await assert.rejects(client.chat.completions.create({ model: "none", messages }), OpenAI.NotFoundError);
const stream = await client.chat.completions.create({ model: "tiny", messages: [{ role: "user", content: "forever" }], stream: true });
for await (const _ of stream) break;
console.log("openai of Node works");
