"""Writes what transformers renders for the templates of the tests.

usage: make_template_goldens.py RESOURCES_FOLDER   (needs transformers and jinja2)
"""

import datetime
import json
import pathlib
import sys

import jinja2
from transformers.utils import chat_template_utils

TOKENS = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}


def turn(role, content):
    return {"role": role, "content": content}


USER = turn("user", "Hello!")
THINK = "<think>\nThe user greets.\n</think>\n\nHi there."
CONVERSATIONS = [
    [USER],
    [turn("system", "  Be brief.\n"), USER],
    [turn("system", "Be brief."), USER, turn("assistant", "Hi."), turn("user", " Bye \n")],
    [USER, turn("assistant", THINK), turn("user", "And now?")],
    [USER, turn("assistant", THINK)],
    [USER, turn("assistant", "<think>only thinking"), turn("user", "a </think> b")],
    [turn("user", "<tool_response>x</tool_response>"), turn("assistant", "seen")],
    [USER, turn("system", "late"), turn("user", "two"), turn("assistant", "")],
    [turn("assistant", "I begin."), USER],
    [turn("user", "{{ 7 * 7 }} {% raise %} {# c #} 'q' \"d\" \\n <b>&amp; 日本 😀")],
    [turn("user", ""), turn("assistant", "\n\nlines\n"), turn("user", "\t")],
]
VARIABLES = [{}, {"enable_thinking": False}, {"enable_thinking": True}]

# One construct a line: what templates in the wild use, each against Jinja2 itself.
SNIPPETS = pathlib.Path(__file__).with_name("snippets.txt")
VALUES = {
    "s": "  Hello, World  ", "word": "straße", "blank": "", "n": 3, "yes": True, "no": False,
    "xs": ["a", "b", "c", "d"], "nothing": [], "nested": [{"k": 1}, {"k": 2, "z": "é\n"}],
    "d": {"b": 1, "a": {"x": [1, 2.5, True, None]}}, "text": "a</think>b</think>\n\nc",
    "messages": [turn("user", "one"), turn("assistant", "two"), turn("user", "three")],
}


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2025, 3, 7, 9, 5, 2)


def render(template, variables):
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return {"text": compiled.render(tools=None, documents=None, **variables)}
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error)}


def conversations(folder):
    for file in sorted((folder / "templates").glob("*.jinja")):
        for messages in CONVERSATIONS:
            for prompt in [False, True]:
                for extra in VARIABLES if file.stem == "qwen3" else VARIABLES[:1]:
                    variables = {"messages": messages, "add_generation_prompt": prompt} | extra
                    rendered = render(file.read_text(), TOKENS | variables)
                    yield {"template": file.name, "messages": messages, "prompt": prompt,
                           "variables": extra} | rendered


def snippets():
    for block in SNIPPETS.read_text().split("\n----\n"):
        yield {"template": block} | render(block, VALUES)


def write(file, cases):
    lines = [json.dumps(case) for case in cases]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    chat_template_utils.datetime = FixedTime
    write(folder / "conversations.json", conversations(folder))
    write(folder / "snippets.json", snippets())
    write(folder / "snippet-values.json", [VALUES])


main()
