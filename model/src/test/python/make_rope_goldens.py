"""Writes the rotary frequencies that Hugging Face transformers computes of some configurations:
lines of a name, the factor of cosines and sines, and the frequencies.

Usage: make_rope_goldens.py RESOURCES_FOLDER
Needs: torch, transformers
"""

import sys
from pathlib import Path

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)
YARN = dict(
    rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=32768
)
CONFIGURATIONS = {
    "default": (64, 131072, dict(rope_type="default", rope_theta=100000.0)),
    "linear": (64, 131072, dict(rope_type="linear", rope_theta=10000.0, factor=2.5)),
    "llama3": (128, 131072, LLAMA3),
    "llama3-32": (64, 131072, LLAMA3 | dict(factor=32.0)),
    "yarn": (128, 131072, YARN),
    "yarn-untruncated": (128, 131072, YARN | dict(truncate=False)),
    "yarn-betas": (
        80,
        4096,
        YARN
        | dict(
            rope_theta=10000.0,
            factor=16.0,
            beta_fast=20.0,
            beta_slow=2.0,
            attention_factor=1.25,
            original_max_position_embeddings=256,
        ),
    ),
}


def line(name, head_dim, positions, parameters):
    config = LlamaConfig(
        hidden_size=head_dim * 4,
        num_attention_heads=4,
        head_dim=head_dim,
        max_position_embeddings=positions,
        rope_parameters=parameters,
    )
    kind = parameters["rope_type"]
    if kind == "default":
        compute = LlamaRotaryEmbedding.compute_default_rope_parameters
    else:
        compute = ROPE_INIT_FUNCTIONS[kind]
    frequencies, factor = compute(config, "cpu")
    values = [factor, *frequencies.tolist()]
    return " ".join([name, *(f"{value:.9g}" for value in values)])


def main():
    lines = [line(name, *of) for name, of in CONFIGURATIONS.items()]
    Path(sys.argv[1], "rope.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
