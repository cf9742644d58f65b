package io.flotilla.kernels;

/**
 * One layer's paged keys and values. The layout inside a block is the device's own.
 *
 * <p>Where several ranks hold the tokens of a sequence between them, they take turns: a rank holds
 * the positions {@code p} with {@code p % parts == part}, and a block spans {@code parts *
 * blockSize} positions, of which it has {@code blockSize}.
 *
 * @param blockSize tokens a block holds
 * @param part which of the tokens this rank holds
 * @param parts ranks that hold the tokens between them
 */
public record KvCache(
    AttentionShape shape,
    int blocks,
    int blockSize,
    Buffer keys,
    Buffer values,
    int part,
    int parts) {
  /** A cache of every token. */
  public KvCache(AttentionShape shape, int blocks, int blockSize, Buffer keys, Buffer values) {
    this(shape, blocks, blockSize, keys, values, 0, 1);
  }

  /** The same memory, for some of the tokens. */
  public KvCache share(int ofPart, int ofParts) {
    return new KvCache(shape, blocks, blockSize, keys, values, ofPart, ofParts);
  }

  /** Whether this rank holds the token at a position. */
  public boolean holds(int position) {
    return position % parts == part;
  }

  /** Tokens that this rank holds up to a position, that one included. */
  public int held(int position) {
    return (position + parts - part) / parts;
  }
}
