"""Honest tokenizers: SentencePiece and Hugging Face tokenizers."""

import json

import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpus import Corpus, scratch


def make(c: Corpus):
    _sentencepiece(c)
    _tokenizers(c)


def _sentencepiece(c):
    text = "the cat sat on the mat\na dog ran to the cat\n" * 20
    with scratch() as directory:
        (directory / "text").write_text(text)
        for kind, size in (("unigram", 30), ("bpe", 30)):
            sentencepiece.SentencePieceTrainer.train(input=str(directory / "text"), model_prefix=str(directory / kind), vocab_size=size, model_type=kind, hard_vocab_limit=False,
                                                     num_threads=1, minloglevel=3, normalization_rule_name="identity")
            data = (directory / f"{kind}.model").read_bytes()
            c.benign(f"tokenizer/{kind}.model", data.replace(str(directory).encode(), b"x" * len(str(directory))), ["sentencepiece", "tokenizer"])


def _tokenizers(c):
    text = ["the cat sat on the mat", "a dog ran"] * 5
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.train_from_iterator(text, trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>"], show_progress=False))
    # Given, not trained: the WordPiece trainer orders its vocabulary at random.
    vocabulary = {piece: index for index, piece in enumerate(["<unk>", "the", "cat", "sat", "##s", "a", "dog"])}
    for name, tokenizer in (("bpe", trained), ("wordpiece", Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>")))):
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        c.benign(f"tokenizer/{name}/tokenizer.json", json.dumps(json.loads(tokenizer.to_str()), indent=1), ["tokenizer"])
