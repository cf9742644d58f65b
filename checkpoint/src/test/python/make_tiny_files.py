"""Writes small files of every kind that the parsers read: seeds of the fuzz tests, and models with
what the shared ones lack (biases, Llama 3 frequencies, YaRN, every type of tensor).

Usage: make_tiny_files.py RESOURCES_FOLDER
Needs: safetensors, gguf, torch, numpy
"""

import json
import sys
import zlib
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, TOKENS = 256, 256, 4, 2, 8


def tensor(writer, rows, name, shape, type_name, seed):
    type_ = gguf.GGMLQuantizationType[type_name]
    random = np.random.default_rng(seed)
    block, size = gguf.GGML_QUANT_SIZES[type_]
    if type_name == "F32":
        data = random.standard_normal(shape).astype(np.float32)
    else:
        data = random.integers(0, 256, (*shape[:-1], shape[-1] // block * size), dtype=np.uint8)
    writer.add_tensor(name, data, raw_dtype=type_)
    rows.append([name, type_name, list(shape), zlib.crc32(data.tobytes())])


def common(writer, architecture):
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_array("test.nested", [[1, 2], [3]])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe" if architecture == "llama" else "qwen2")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3(path):
    """Llama 3.1: explicit frequencies, a second end of turn, tied embeddings."""
    writer, rows = gguf.GGUFWriter(path, "llama"), []
    common(writer, "llama")
    tokens = ["a", "b", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "c", "ab", "é"]
    writer.add_token_list(tokens)
    writer.add_token_types([1, 1, 3, 3, 3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(4)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages }}")
    factors = np.linspace(1, 8, HIDDEN // HEADS // 2).astype(np.float32)
    writer.add_tensor("rope_freqs.weight", factors)
    tensor(writer, rows, "token_embd.weight", (TOKENS, HIDDEN), "F32", 0)
    for i, type_name in enumerate(TYPES[1:]):
        tensor(writer, rows, f"blk.{i}.ffn_up.weight", (2, HIDDEN), type_name, i)
    tensor(writer, rows, "output_norm.weight", (HIDDEN,), "F32", 99)
    finish(writer)
    return rows


def qwen2(path):
    """Qwen2.5: YaRN, biases, an output matrix, scores and the recommended sampling."""
    writer, rows = gguf.GGUFWriter(path, "qwen2"), []
    common(writer, "qwen2")
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(32)
    writer.add_float32("general.sampling.temp", 0.7)
    writer.add_int32("general.sampling.top_k", 20)
    writer.add_float32("general.sampling.top_p", 0.8)
    writer.add_token_list(["a", "b", "c", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "x", "y"])
    writer.add_token_types([1, 1, 1, 3, 3, 3, 1, 1])
    writer.add_token_scores([float(-i) for i in range(TOKENS)])
    writer.add_token_merges(["a b", "b c"])
    writer.add_eos_token_id(5)
    writer.add_pad_token_id(3)
    for i, name in enumerate(["token_embd", "output"]):
        tensor(writer, rows, name + ".weight", (TOKENS, HIDDEN), "Q8_0", i)
    tensor(writer, rows, "output_norm.weight", (HIDDEN,), "F32", 2)
    tensor(writer, rows, "blk.0.attn_q.weight", (HIDDEN, HIDDEN), "Q4_0", 3)
    tensor(writer, rows, "blk.0.attn_q.bias", (HIDDEN,), "F32", 4)
    tensor(writer, rows, "blk.0.attn_q_norm.weight", (HIDDEN // HEADS,), "F32", 5)
    finish(writer)
    return rows


def safetensors(path):
    random = torch.Generator().manual_seed(0)
    save_file(
        {
            "model.embed_tokens.weight": torch.randn(4, 6, generator=random).bfloat16(),
            "model.norm.weight": torch.randn(6, generator=random),
            "half": torch.randn(3, generator=random).half(),
            "counts": torch.arange(5),
            "empty": torch.zeros(0, 3),
        },
        path,
        metadata={"format": "pt"},
    )


resources = Path(sys.argv[1])
seeds = resources / "FileParsersFuzzTestInputs"
for kind in ["gguf", "safetensors"]:
    (seeds / kind).mkdir(parents=True, exist_ok=True)
goldens = {
    "tiny-llama3.gguf": sorted(llama3(seeds / "gguf/tiny-llama3.gguf")),
    "tiny-qwen2.gguf": sorted(qwen2(seeds / "gguf/tiny-qwen2.gguf")),
}
safetensors(seeds / "safetensors/tiny.safetensors")
lines = [f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in goldens.items()]
(resources / "tiny-tensors.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
