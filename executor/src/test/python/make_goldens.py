"""Writes what Hugging Face transformers computes in float32: logits and greedy tokens of models of
every supported architecture. Where a model is not on disk already, it is a tiny random one, which
is written beside its golden.

A golden is text. Of each prompt it has a block of lines: `prompt` (ids), `promptLogprobs` (of each
prompt token but the first), `logits` (`id:value` at the last position), `greedy` (ids) and `gaps`
(of the two best logits at each of them). A golden that is there already stays; delete it to have it
made again.

Usage: make_goldens.py POCKET_FOLDER SHARED_FOLDER RESOURCES_FOLDER
Needs: torch, transformers, gguf, accelerate
"""

import json
import random
import sys
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

GREEDY_TOKENS = 64
TOP_LOGITS = 32
FIXED_LOGITS = 64
TINY_LENGTHS = [1, 2, 15, 16, 17, 40, 77, 150]
TEXTS = [
    "Once",
    "The capital of France is",
    "Write a short story about a little dog who finds a red ball in the garden.",
    "1, 2, 3, 5, 8, 13, 21,",
    "def add(a, b):\n    return a + b\n\n\ndef multiply(a, b):\n",
    "<|im_start|>user\nWhat is the largest planet?<|im_end|>\n<|im_start|>assistant\n",
    "In the morning the sun rose over the hills, and the birds began to sing. " * 4,
    "A fleet is a group of ships that sail together. Each ship has a captain and a crew. " * 12,
]


@torch.no_grad()
def write_golden(model, prompts, path):
    model = model.to(torch.float32).eval()
    vocabulary = model.config.vocab_size
    fixed = random.Random(1).sample(range(vocabulary), min(FIXED_LOGITS, vocabulary))
    lines = []
    for prompt in prompts:
        logits = model(torch.tensor([prompt])).logits[0]
        logprobs = torch.log_softmax(logits, -1)
        last = logits[-1]
        shown = sorted(set(fixed) | set(last.topk(TOP_LOGITS).indices.tolist()))
        greedy, gaps = generate(model, prompt)
        scored = [logprobs[i, token].item() for i, token in enumerate(prompt[1:])]
        lines.append(" ".join(["prompt", *map(str, prompt)]))
        lines.append(" ".join(["promptLogprobs", *(f"{value:.6f}" for value in scored)]))
        lines.append(" ".join(["logits", *(f"{i}:{last[i].item():.6f}" for i in shown)]))
        lines.append(" ".join(["greedy", *map(str, greedy)]))
        lines.append(" ".join(["gaps", *(f"{gap:.5f}" for gap in gaps)]))
    path.write_text("\n".join(lines) + "\n")
    print(path.name, path.stat().st_size)


def generate(model, prompt):
    greedy, gaps, cache, ids = [], [], None, torch.tensor([prompt])
    for _ in range(GREEDY_TOKENS):
        out = model(ids, past_key_values=cache, use_cache=True)
        best = out.logits[0, -1].topk(2)
        greedy.append(best.indices[0].item())
        gaps.append((best.values[0] - best.values[1]).item())
        cache, ids = out.past_key_values, best.indices[:1].unsqueeze(0)
    return greedy, gaps


def text_prompts(folder):
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    return [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]


def randomise(model, seed):
    """Weights that make each token and each position matter, and logits some units apart."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("bias"):
            weight.data = noise * 0.5
        elif weight.dim() == 1:
            weight.data = 1 + noise * 0.3
        elif "embed" in name:
            weight.data = noise
        else:
            weight.data = noise * 1.5 / weight.shape[1] ** 0.5
    return model


def tiny_models():
    """Shapes are awkward on purpose: few are powers of two."""
    common = dict(num_hidden_layers=2, max_position_embeddings=256, eos_token_id=0)
    yield "tiny-llama3", torch.bfloat16, LlamaForCausalLM(
        LlamaConfig(
            **common,
            hidden_size=48,
            intermediate_size=76,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=8,
            vocab_size=101,
            tie_word_embeddings=False,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=500.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        )
    )
    yield "tiny-qwen2", torch.float16, Qwen2ForCausalLM(
        Qwen2Config(
            **common,
            hidden_size=40,
            intermediate_size=64,
            num_attention_heads=4,
            num_key_value_heads=1,
            vocab_size=97,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        )
    )
    yield "tiny-qwen3", torch.bfloat16, Qwen3ForCausalLM(
        Qwen3Config(
            **common,
            hidden_size=32,
            intermediate_size=72,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=18,
            vocab_size=113,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        )
    )
    yield "tiny-yarn", torch.float32, LlamaForCausalLM(
        LlamaConfig(
            **common,
            hidden_size=36,
            intermediate_size=50,
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=12,
            vocab_size=89,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=8.0,
                beta_fast=8.0,
                beta_slow=1.0,
                original_max_position_embeddings=32,
            ),
        )
    )
    yield "tiny-mixtral", torch.bfloat16, MixtralForCausalLM(
        MixtralConfig(
            **common,
            hidden_size=48,
            intermediate_size=56,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=8,
            vocab_size=103,
            num_local_experts=8,
            num_experts_per_tok=2,
            sliding_window=None,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        )
    )
    yield "tiny-qwen3-moe", torch.bfloat16, Qwen3MoeForCausalLM(
        Qwen3MoeConfig(
            **{**common, "num_hidden_layers": 3},
            hidden_size=32,
            intermediate_size=72,
            moe_intermediate_size=24,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            vocab_size=107,
            num_experts=12,
            num_experts_per_tok=3,
            norm_topk_prob=True,
            mlp_only_layers=[1],
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        )
    )


def write_tiny_models(resources):
    for seed, (name, dtype, model) in enumerate(tiny_models()):
        folder = resources / name
        if (resources / f"{name}.txt").exists():
            print(name, "is there already")
            continue
        randomise(model, seed).to(dtype).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        draws = random.Random(seed)
        vocabulary = model.config.vocab_size
        prompts = [[draws.randrange(vocabulary) for _ in range(n)] for n in TINY_LENGTHS]
        stored = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        )
        write_golden(stored, prompts, resources / f"{name}.txt")
        if name == "tiny-llama3":
            old_dialect(folder / "config.json")


def old_dialect(path):
    """The names transformers 4 gave: both dialects are in the wild."""
    config = json.loads(path.read_text())
    scaling = config.pop("rope_parameters")
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = scaling
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def write_stored_models(pocket, shared, resources):
    smollm = shared / "models" / "smollm2-135m-instruct"
    models = [
        (pocket, dict(), "pocket.txt"),
        (smollm, dict(gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf"), "smollm2.txt"),
    ]
    for folder, file, golden in models:
        if (resources / golden).exists():
            print(golden, "is there already")
            continue
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", **file
        )
        write_golden(model, text_prompts(folder), resources / golden)


def main():
    pocket, shared, resources = map(Path, sys.argv[1:])
    resources.mkdir(parents=True, exist_ok=True)
    write_tiny_models(resources)
    write_stored_models(pocket, shared, resources)


if __name__ == "__main__":
    main()
