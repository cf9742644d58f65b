"""Writes the names, types, shapes and CRC-32 sums of two models' tensors, as the reference
libraries read them.

Usage: make_goldens.py SHARED_FOLDER RESOURCES_FOLDER
Needs: safetensors, gguf, torch
"""

import json
import sys
import zlib
from pathlib import Path

import gguf
import torch
from safetensors import safe_open

GGUF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name):
    parts = name.split(".")
    prefix = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
    return prefix + GGUF_NAMES[parts[-2]] + "." + parts[-1]


def safetensors_golden(path):
    types = {torch.bfloat16: "BF16", torch.float32: "F32", torch.float16: "F16"}
    with safe_open(path, "pt") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            crc = zlib.crc32(tensor.contiguous().view(torch.uint8).numpy().tobytes())
            yield [name, types[tensor.dtype], list(tensor.shape), crc]


def gguf_golden(path):
    for tensor in gguf.GGUFReader(path).tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        crc = zlib.crc32(tensor.data.tobytes())
        yield [hugging_face_name(tensor.name), tensor.tensor_type.name, shape, crc]


def write(path, rows):
    rows = sorted(rows)
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


shared, resources = Path(sys.argv[1]), Path(sys.argv[2])
pocket = shared / "models/pocket/model.safetensors"
smollm = shared / "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
write(resources / "pocket-tensors.json", safetensors_golden(pocket))
write(resources / "smollm2-tensors.json", gguf_golden(smollm))
