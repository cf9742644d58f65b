"""Writes the ids that Hugging Face's tokenizers give to a few awkward texts.

usage: make_token_goldens.py MODELS_FOLDER RESOURCES_FOLDER   (needs tokenizers)
"""

import json
import pathlib
import sys

import tokenizers

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "  two spaces, then\ttabs\t\tand\n\nnew lines\r\n  \n end   ",
    "don't I'll WE'RE they'd 'tis it's I'M",
    "1234567890 3.14159 1,000,000 0x7fff ½ ² Ⅷ ٣",
    "naïve café cafe\u0301 Åström A\u030angstro\u0308m ﬁ",
    "日本語のテキストと中文字符，한국어 문장.",
    "Привет, мир! Γειά σου Κόσμε שלום עולם مرحبا بالعالم हिन्दी ไทย",
    "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 a😀b",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "text<|endoftext|>text <|endoftext|> <|im_end|><|im_start|> <|im_start",
    "<think>\n\n</think>\n\n<tool_call></tool_call>",
    "public static void main(String[] args) {\n    System.out.println(\"x\");\n}\n",
    "\u0000\u0001\u007f\u00a0\u200b\u2028\ufeff\ufffd zero",
    "▁under ▁ score <0x0A> [PAD] Ġ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "...---...!!!???;;;:::###$$$%%%^^^&&&***((()))",
    "The quick brown fox jumps over the lazy dog. " * 4,
    "𝕳𝖊𝖑𝖑𝖔 𐍈 \U0001F9D1\u200d\U0001F680 e\u0301\u0327",
]


def goldens(models):
    for name in ["pocket", "smollm2-135m-instruct", "qwen3-tokenizer"]:
        tokenizer = tokenizers.Tokenizer.from_file(str(models / name / "tokenizer.json"))
        cases = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            cases.append({
                "text": text,
                "ids": ids,
                "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                "plain": tokenizer.decode(ids, skip_special_tokens=True),
            })
        yield name, cases


def main():
    models, resources = map(pathlib.Path, sys.argv[1:])
    for name, cases in goldens(models):
        text = json.dumps(cases, ensure_ascii=True, indent=0)
        (resources / f"ids-{name}.json").write_text(text + "\n")


main()
