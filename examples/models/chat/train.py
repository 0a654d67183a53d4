#!/usr/bin/env python3
"""Trains the sample chat model and writes it as safetensors and as GGUF.

    python train.py                 train (or go on where it stopped), then write the files beside this script
    python train.py --check         hold the written model against the questions in text/held-out.txt
    python train.py --ask "..."     ask the written model

torch 2.15.0, tokenizers 0.23.3, safetensors, gguf 0.19.0, numpy 2.4.6. Two processor cores are enough.
Checkpoints go to target/chat-model; remove them to begin anew.
"""
import argparse, json, os, random, re, time
from pathlib import Path

import gguf, numpy as np, torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[2] / "target" / "chat-model"
NAME, LICENCE = "weighbridge-chat", "Apache-2.0"

# The model. Every width is a multiple of 32, as the packed formats of the importer want.
VOCABULARY, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD, INNER = 4096, 192, 6, 6, 2, 32, 512
CONTEXT, ROPE_BASE, EPSILON = 512, 10_000.0, 1e-5

# The training.
SEED, STEPS, TOKENS, WARMUP, DECAY = 20, 2900, 2048, 80, 0.4
RATE, WEIGHT_DECAY, CLIP = 2.5e-3, 0.1, 1.0
SHORT, LONG_EVERY = 256, 6  # most rows are short, since they are cheaper
BOOK_WEIGHT = 0.2  # the book is for colour; the answers must be right
FIRST, FIRST_WEIGHT = 3, 4.0  # an answer's first tokens choose among the answers
# From such a step on, this share of the conversations has one question and an answer that is cut short: once the answers
# are known, what is left to learn is which one fits.
CUT_SHARE, CUT_TOKENS = {0: 0.0, 600: 0.93, 1700: 0.6}, 6

END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim"
    " + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


# ---- Text ----------------------------------------------------------------------------------------------------------


class Topic:
    """A block of text/*.topics: `@` name, `=` subjects, `?` wordings, `!` the answer, `>` what follows on "more"."""

    def __init__(self, name):
        self.name, self.subjects, self.wordings, self.answer, self.more = name, [], [], None, None


def read_topics():
    topics = []
    for path in sorted((HERE / "text").glob("*.topics")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            mark, rest = line[:1], line[2:].strip()
            if mark == "@":
                topics.append(Topic(rest))
            elif mark == "=":
                topics[-1].subjects += [s.strip() for s in rest.split(";")]
            elif mark == "?":
                topics[-1].wordings.append(rest)
            elif mark == "!":
                assert topics[-1].answer is None, f"{path.name}:{number}: a second answer"
                topics[-1].answer = rest
            elif mark == ">":
                topics[-1].more = rest
            else:
                assert mark in ("", "#"), f"{path.name}:{number}: begins with none of @ = ? ! > #"
    for t in topics:
        assert t.answer and (t.subjects or t.wordings), f"{t.name} lacks an answer or its questions"
    assert len({t.name for t in topics}) == len(topics), "two topics of one name"
    return topics


def read_wordings():
    """text/wordings.txt: lists below `[name]`."""
    lists, current = {}, None
    for line in (HERE / "text" / "wordings.txt").read_text().splitlines():
        if line.startswith("["):
            current = lists.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return lists


CHOICE = re.compile(r"\(([^()]*)\)")


def expand(rng, text):
    """Picks one of each `(a|b|)`, innermost first."""
    while CHOICE.search(text):
        text = CHOICE.sub(lambda m: rng.choice(m[1].split("|")), text, count=1)
    return " ".join(text.split())


class Dialogues:
    """Makes conversations: the same for the same random numbers."""

    def __init__(self):
        self.topics, self.lists = read_topics(), read_wordings()
        self.unknown = [t for t in self.topics if t.name.startswith("unknown")]
        self.known = [t for t in self.topics if not t.name.startswith("unknown")]
        self.written = {name.lower(): name for name in self.lists["names"]}
        longest_first = sorted(map(re.escape, self.lists["names"]), key=len, reverse=True)
        self.names = re.compile(r"(?<![\w-])(" + "|".join(longest_first) + r")(?![\w-])", re.IGNORECASE)
        self.strange = sorted(set(re.findall(r"[a-z]{3,}", " ".join(paragraphs()))))

    def question(self, rng, topic):
        about = self.lists["about"] if topic.subjects else []
        own = bool(topic.wordings) and (not about or rng.random() < 0.6)
        text = expand(rng, rng.choice(topic.wordings if own else about))
        if "{it}" in text:
            text = text.replace("{it}", expand(rng, rng.choice(topic.subjects)))
        if "{thing}" in text:
            thing = rng.choice(self.lists["things"]) if rng.random() < 0.7 else "(a|the|) " + rng.choice(self.strange)
            text = text.replace("{thing}", expand(rng, thing))
        return self.rough(rng, text)

    def rough(self, rng, text):
        """As people type: openings, no capitals, no question mark, slips, words that have nothing to do with it."""
        if rng.random() < 0.2:
            text = expand(rng, rng.choice(self.lists["openings"])) + " " + text
        if rng.random() < 0.12:
            text = text.rstrip("?.! ") + " " + expand(rng, rng.choice(self.lists["closings"]))
        words = text.split()
        if rng.random() < 0.12 and len(words) > 3:
            light = [n for n, w in enumerate(words) if w.lower() in self.lists["light"]]
            if light:
                del words[rng.choice(light)]
        if rng.random() < 0.12:
            n = rng.randrange(len(words))
            words[n] = slip(rng, words[n])
        if rng.random() < 0.1 and len(words) > 3:
            words.insert(rng.randrange(len(words)), rng.choice(self.strange))
        text = " ".join(words)
        style = rng.random()
        if style < 0.4:
            text = text.lower()
        elif style < 0.42:
            text = text.upper()
        elif style < 0.9:
            text = text[:1].upper() + text[1:]
        if text[-1:].isalnum() and rng.random() < 0.6:
            text += "?" if rng.random() < 0.85 else "."
        elif rng.random() < 0.3:
            text = text.rstrip("?.!") or text
        return text

    def cased(self, rng, text):
        """Names as they are usually written, one word with a capital, or all capitals, now and then."""
        kind = rng.random()
        if kind < 0.5:
            text = self.names.sub(lambda m: self.written[m[0].lower()], text)
        elif kind < 0.58:
            words = text.split()
            n = rng.randrange(len(words))
            words[n] = words[n].capitalize() if rng.random() < 0.5 else words[n].upper()
            text = " ".join(words)
        return text.upper() if kind > 0.97 else text

    def conversation(self, rng, longest=4):
        """Turns as (role, text); each further question is less likely."""
        turns = []
        if rng.random() < 0.25:
            turns.append(("system", rng.choice(self.lists["system"])))
        for _ in range(rng.choices(range(1, longest + 1), [0.55 ** n for n in range(longest)])[0]):
            topic = rng.choice(self.unknown) if rng.random() < 0.1 else rng.choice(self.known)
            turns += [("user", self.question(rng, topic)), ("assistant", topic.answer)]
            if topic.more and rng.random() < 0.3:
                turns += [("user", self.rough(rng, expand(rng, rng.choice(self.lists["more"])))),
                          ("assistant", topic.more)]
        return turns


def slip(rng, word):
    if len(word) < 4:
        return word
    n = rng.randrange(len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:n] + word[n + 1] + word[n] + word[n + 2:]
    return word[:n] + word[n + 1:] if kind == 1 else word[:n] + word[n] + word[n:]


def paragraphs():
    """The book, a paragraph a line."""
    text = (HERE / "text" / "alice.txt").read_text()
    return [" ".join(p.split()) for p in text.split("\n\n") if p.strip(" *\n")]


# ---- Tokens --------------------------------------------------------------------------------------------------------


def make_tokenizer(dialogues):
    """Byte-level BPE that cuts as GPT-2 does, which GGUF calls `gpt-2`."""
    rng = random.Random(SEED)
    texts = paragraphs()
    for _ in range(6000):
        texts += [text for _, text in dialogues.conversation(rng)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END, TURN, TURN_END], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


class Batches:
    """Rows of whole documents; each document sees itself alone."""

    def __init__(self, dialogues, tokenizer):
        self.dialogues, self.tokenizer = dialogues, tokenizer
        self.book = [self.ids(p + "\n") for p in paragraphs()]
        self.end, self.turn, self.turn_end = (tokenizer.token_to_id(t) for t in (END, TURN, TURN_END))

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def chat(self, rng, longest, cut):
        """Answers count, and that they end; what users say does not."""
        tokens, weights = [], []
        if cut:
            longest = 1
        for role, text in self.dialogues.conversation(rng, longest):
            if role == "user":
                text = self.dialogues.cased(rng, text)
            head, body = [self.turn, *self.ids(f"{role}\n")], [*self.ids(text), self.turn_end]
            tokens += head + body + self.ids("\n")
            answer = [FIRST_WEIGHT] * FIRST + [1.0] * (len(body) - FIRST) if role == "assistant" else [0.0] * len(body)
            weights += [0.0] * len(head) + answer + [0.0]
            if cut and role == "assistant":
                short = len(tokens) - len(body) - 1 + CUT_TOKENS
                return tokens[:short], weights[:short]
        return tokens, weights

    def plain(self, rng):
        if rng.random() < 0.4:
            topic = rng.choice(self.dialogues.known)
            tokens = [*self.ids(topic.answer + (" " + topic.more if topic.more else "")), self.end]
            return tokens, [0.0] * 2 + [0.5] * (len(tokens) - 2)
        at, tokens = rng.randrange(len(self.book)), []
        while len(tokens) < 160 and at < len(self.book):
            tokens += self.book[at]
            at += 1
        return tokens, [0.0] + [BOOK_WEIGHT] * (len(tokens) - 1)

    def batch(self, step):
        rng = random.Random(f"{SEED}/{step}")
        length, longest = (SHORT, 4) if step % LONG_EVERY else (CONTEXT, 8)
        share = next(s for first, s in reversed(CUT_SHARE.items()) if first <= step)
        cut = lambda rng: length == SHORT and rng.random() < share
        rows, room = TOKENS // length, length + 1
        tokens, owner = torch.full((rows, room), self.end), torch.full((rows, room), -1)
        weights = torch.zeros(rows, room)
        for row in range(rows):
            at = number = 0
            while at < length - 40:
                ids, counts = self.plain(rng) if rng.random() < 0.06 else self.chat(rng, longest, cut(rng))
                if at and at + len(ids) > room and rng.random() < 0.7:
                    continue
                ids, counts = ids[:room - at], counts[:room - at]
                here = slice(at, at + len(ids))
                tokens[row, here], weights[row, here] = torch.tensor(ids), torch.tensor(counts)
                owner[row, here] = number
                at, number = at + len(ids), number + 1
        owner = owner[:, :-1]
        mask = (owner[:, :, None] == owner[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
        return tokens[:, :-1], tokens[:, 1:], weights[:, 1:], mask[:, None]


# ---- The model: Llama, with the names of its safetensors files -----------------------------------------------------


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return F.rms_norm(x, (HIDDEN,), self.weight, EPSILON)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.o_proj = linear(HIDDEN, HEADS * HEAD), linear(HEADS * HEAD, HIDDEN)
        self.k_proj, self.v_proj = linear(HIDDEN, KV_HEADS * HEAD), linear(HIDDEN, KV_HEADS * HEAD)

    def forward(self, x, cos, sin, mask):
        heads = lambda y: y.unflatten(-1, (-1, HEAD)).transpose(1, 2)
        q, k, v = heads(self.q_proj(x)), heads(self.k_proj(x)), heads(self.v_proj(x))
        k, v = (y.repeat_interleave(HEADS // KV_HEADS, dim=1) for y in (rotate(k, cos, sin), v))
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = linear(HIDDEN, INNER), linear(HIDDEN, INNER)
        self.down_proj = linear(INNER, HIDDEN)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn, self.mlp = Attention(), FeedForward()

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.ModuleDict({"embed_tokens": nn.Embedding(VOCABULARY, HIDDEN),
                                    "layers": nn.ModuleList(Layer() for _ in range(LAYERS)), "norm": Norm()})
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.02 / (2 * LAYERS) ** 0.5 if last else 0.02)

    def forward(self, tokens, mask=None, chosen=None):
        """Logits, of the `chosen` positions alone if given."""
        length = tokens.shape[1]
        angles = torch.outer(torch.arange(length), ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD)).repeat(1, 2)
        if mask is None:
            mask = torch.ones(length, length, dtype=torch.bool).tril()
        embedding = self.model["embed_tokens"]
        x, cos, sin = embedding(tokens), angles.cos(), angles.sin()
        for layer in self.model["layers"]:
            x = layer(x, cos, sin, mask)
        x = self.model["norm"](x if chosen is None else x[chosen])
        return F.linear(x, embedding.weight)


# ---- Training ------------------------------------------------------------------------------------------------------


def train(tokenizer, dialogues, steps):
    torch.manual_seed(SEED)
    model, batches = Llama(), Batches(dialogues, tokenizer)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": WEIGHT_DECAY},
                                   {"params": vectors, "weight_decay": 0.0}], lr=RATE, betas=(0.9, 0.98), fused=True)
    saved, first = WORK / "checkpoint.pt", 0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        first = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(dialogues.topics)} topics, step {first}")
    begun, seen, total = time.time(), 0, 0.0
    for step in range(first, steps):
        rate = RATE * min(1.0, (step + 1) / WARMUP, (steps - step) / (DECAY * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        tokens, targets, weights, mask = batches.batch(step)
        chosen = weights > 0
        losses = F.cross_entropy(model(tokens, mask, chosen), targets[chosen], reduction="none")
        loss = (losses * weights[chosen]).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        seen, total = seen + tokens.numel(), total + loss.item()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}: loss {total / 50:.4f}, {seen / (time.time() - begun):.0f} tokens/s", flush=True)
            total = 0.0
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state = {"step": step + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, saved.with_suffix(".new"))
            os.replace(saved.with_suffix(".new"), saved)
    return model


# ---- Files ---------------------------------------------------------------------------------------------------------


def write_folder(state, tokenizer):
    """What `transformers` would write."""
    ids = {t: tokenizer.token_to_id(t) for t in (END, TURN, TURN_END)}
    save_file(state, HERE / "model.safetensors", metadata={"format": "pt", "license": LICENCE, "name": NAME})
    documents = {
        "config.json": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": HIDDEN,
            "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "head_dim": HEAD, "vocab_size": VOCABULARY,
            "max_position_embeddings": CONTEXT, "rms_norm_eps": EPSILON, "rope_theta": ROPE_BASE,
            "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True, "dtype": "float16",
            "bos_token_id": ids[END], "eos_token_id": ids[TURN_END], "pad_token_id": ids[END],
        },
        "generation_config.json": {
            "bos_token_id": ids[END], "eos_token_id": [ids[TURN_END], ids[END]], "pad_token_id": ids[END],
            "do_sample": True, "temperature": 0.2, "top_p": 0.9,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, "bos_token": END,
            "eos_token": TURN_END, "pad_token": END, "clean_up_tokenization_spaces": False, "chat_template": TEMPLATE,
        },
    }
    for name, document in documents.items():
        (HERE / name).write_text(json.dumps(document, indent=2) + "\n")
    tokenizer.save(str(HERE / "tokenizer.json"))


def write_gguf(state, tokenizer):
    """What llama.cpp's converter would write: queries and keys of `llama` turn in pairs there."""
    w = gguf.GGUFWriter(HERE / f"{NAME}-f16.gguf", "llama")
    w.add_name(NAME)
    w.add_license(LICENCE)
    w.add_description("A sample that knows only a little about Weighbridge; trained by examples/models/chat/train.py")
    w.add_languages(["en"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(HIDDEN)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(INNER)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_key_length(HEAD)
    w.add_value_length(HEAD)
    w.add_rope_dimension_count(HEAD)
    w.add_rope_freq_base(ROPE_BASE)
    w.add_layer_norm_rms_eps(EPSILON)
    w.add_vocab_size(VOCABULARY)
    special = {END, TURN, TURN_END}
    tokens = [tokenizer.id_to_token(n) for n in range(VOCABULARY)]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges([" ".join(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]])
    w.add_bos_token_id(tokenizer.token_to_id(END))
    w.add_eos_token_id(tokenizer.token_to_id(TURN_END))
    w.add_eot_token_id(tokenizer.token_to_id(TURN_END))
    w.add_pad_token_id(tokenizer.token_to_id(END))
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, tensor in state.items():
        value = tensor.numpy()
        heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2])
        if heads:
            value = value.reshape(heads, 2, HEAD // 2, HIDDEN).swapaxes(1, 2).reshape(value.shape)
        if value.ndim == 1:
            value = value.astype(np.float32)
        w.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(value))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- Asking --------------------------------------------------------------------------------------------------------


class Chat:
    """The written model, greedily."""

    def __init__(self):
        self.tokenizer, self.model = Tokenizer.from_file(str(HERE / "tokenizer.json")), Llama().eval()
        state = {k: v.float() for k, v in load_file(HERE / "model.safetensors").items()}
        self.model.load_state_dict(state)

    @torch.inference_mode()
    def answer(self, question, most=120):
        prompt = f"{TURN}user\n{question}{TURN_END}\n{TURN}assistant\n"
        tokens = self.tokenizer.encode(prompt, add_special_tokens=False).ids
        end, start = self.tokenizer.token_to_id(TURN_END), len(tokens)
        while len(tokens) < min(start + most, CONTEXT):
            following = self.model(torch.tensor([tokens]))[0, -1].argmax().item()
            if following == end:
                break
            tokens.append(following)
        return self.tokenizer.decode(tokens[start:])


def check():
    """Each line of text/held-out.txt: a topic, a colon, a question that no wording makes."""
    topics = {t.name: t for t in read_topics()}
    chat, right, lines = Chat(), 0, (HERE / "text" / "held-out.txt").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        names, question = line.split(":", 1)
        wanted = [topics[n].answer for n in names.split("|")]
        got = chat.answer(question.strip())
        right += got in wanted
        print("right" if got in wanted else "WRONG", "|", question.strip(), "|", got)
    print(f"{right} of {len(lines)} answers are the ones that were meant")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--ask", metavar="QUESTION")
    options = parser.parse_args()
    if options.ask:
        return print(Chat().answer(options.ask))
    if options.check:
        return check()
    WORK.mkdir(parents=True, exist_ok=True)
    dialogues = Dialogues()
    tokenizer = make_tokenizer(dialogues)
    model = train(tokenizer, dialogues, options.steps)
    state = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    write_folder(state, tokenizer)
    write_gguf(state, tokenizer)


if __name__ == "__main__":
    main()
