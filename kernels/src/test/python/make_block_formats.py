"""Writes stored blocks of every type and the floats that GGML's own package makes of them.

Usage: make_block_formats.py RESOURCES_FOLDER
Needs: gguf, numpy

A row of the file is [type, the stored bytes, the floats], both as hexadecimal of little-endian
bytes.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np

# Where the halves of a block are; everything else in it may be any byte.
HALVES = {
    "F32": [],
    "F16": [0],
    "BF16": [],
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}
BLOCKS_OF_ONE, BLOCKS = 64, 3


def finite(bits, exponent):
    """Any numbers but infinities and NaNs: normal and subnormal, of both signs."""
    return np.where(bits & exponent == exponent, bits ^ (exponent & -exponent), bits)


def stored(name, random):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    count = BLOCKS_OF_ONE if elements == 1 else BLOCKS
    if name == "F32":
        return finite(random.integers(0, 1 << 32, count), 0x7F800000).astype("<u4").view(np.uint8)
    if name == "BF16":
        return finite(random.integers(0, 1 << 16, count), 0x7F80).astype("<u2").view(np.uint8)
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in HALVES[name]:
        halves = finite(random.integers(0, 1 << 16, count), 0x7C00).astype("<u2")
        blocks[:, offset : offset + 2] = halves.view(np.uint8).reshape(count, 2)
    return blocks.reshape(-1)


def rows():
    random = np.random.default_rng(0)
    for name in HALVES:
        data = stored(name, random)
        if name == "F32":
            data = data.view(np.float32)
        floats = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name])
        yield [name, data.tobytes().hex(), floats.astype("<f4").tobytes().hex()]


text = "[\n" + ",\n".join(json.dumps(row) for row in rows()) + "\n]\n"
(Path(sys.argv[1]) / "block-formats.json").write_text(text)
