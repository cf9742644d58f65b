"""Talks to a running server through the openai package: python openai_client.py http://localhost:8000/v1"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
model = client.models.list().data[0].id
messages = [{"role": "user", "content": "Hello"}]

answer = client.chat.completions.create(model=model, messages=messages, max_tokens=20)
assert answer.choices[0].message.content
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

text, usage = "", None
for chunk in client.chat.completions.create(
    model=model, messages=messages, max_tokens=20, stream=True, stream_options={"include_usage": True}
):
    for choice in chunk.choices:
        text += choice.delta.content or ""
    usage = chunk.usage or usage
assert text and usage.completion_tokens > 0

completion = client.completions.create(model=model, prompt="Once upon a time", max_tokens=5, n=2, logprobs=1)
assert [choice.index for choice in completion.choices] == [0, 1]
assert len(completion.choices[0].logprobs.tokens) == 5

try:
    client.chat.completions.create(model=model, messages=messages, temperature=-1)
    sys.exit("a negative temperature was taken")
except openai.BadRequestError as refused:
    assert refused.param == "temperature", refused

try:
    client.models.retrieve("nothing")
    sys.exit("an unknown model was found")
except openai.NotFoundError as refused:
    assert refused.code == "model_not_found", refused
print("ok")
