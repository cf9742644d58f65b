package io.flotilla.kernels;

/**
 * The rotation of every position (RoPE, arXiv 2104.09864).
 *
 * @param angles F32 {@code [positions, headDim]}: {@code headDim / 2} cosines, then as many sines,
 *     any scaling of attention already multiplied in
 * @param interleaved whether the pairs are neighbours {@code (2i, 2i + 1)}, as in GGUF files of
 *     Llama, or halves {@code (i, i + headDim / 2)}
 */
public record RopeTable(Tensor angles, boolean interleaved) {}
