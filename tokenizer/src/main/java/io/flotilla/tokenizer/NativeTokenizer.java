package io.flotilla.tokenizer;

import ai.djl.engine.EngineException;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;

/**
 * Hugging Face's own tokenizers library, through the native methods that DJL publishes.
 *
 * <p>DJL's {@code HuggingFaceTokenizer} above those methods is not used: it truncates to 512 tokens
 * unless told otherwise, copies eight arrays out of each encoding where one is needed, and its
 * factories ask the network about the machine they run on.
 */
final class NativeTokenizer implements Tokenizer {
  private static final String FLAVOR = "RUST_FLAVOR";

  private final Vocabulary vocabulary;
  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private long handle;

  private NativeTokenizer(long handle, Vocabulary vocabulary) {
    this.handle = handle;
    this.vocabulary = vocabulary;
  }

  static Tokenizer load(Path folder) {
    Path file = folder.resolve("tokenizer.json");
    if (!Files.isRegularFile(file)) {
      throw new TokenizerException(
          folder
              + " has no tokenizer.json; point --tokenizer to a model that has one, or convert the"
              + " slow tokenizer with transformers' save_pretrained");
    }
    try {
      return of(Files.readAllBytes(file), file.toString());
    } catch (IOException e) {
      throw new TokenizerException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  /**
   * @param json the text of a {@code tokenizer.json} in UTF-8
   * @param source what an error calls it
   */
  static Tokenizer of(byte[] json, String source) {
    // A large file takes each of the two readers a third of a second.
    CompletableFuture<Long> creation = CompletableFuture.supplyAsync(() -> create(json, source));
    Vocabulary vocabulary = null;
    try {
      vocabulary = Vocabulary.parse(json, source);
      return new NativeTokenizer(creation.join(), vocabulary);
    } catch (CompletionException e) {
      throw e.getCause() instanceof TokenizerException unusable ? unusable : e;
    } finally {
      if (vocabulary == null) {
        discard(creation);
      }
    }
  }

  private static void discard(CompletableFuture<Long> creation) {
    if (creation.handle((handle, failure) -> failure == null).join()) {
      TokenizersLibrary.LIB.deleteTokenizer(creation.join());
    }
  }

  private static long create(byte[] json, String source) {
    if (System.getenv(FLAVOR) == null && System.getProperty(FLAVOR) == null) {
      // Without it the library looks for a CUDA build of itself and downloads it.
      System.setProperty(FLAVOR, "cpu");
    }
    try {
      LibUtils.checkStatus();
    } catch (EngineException | LinkageError e) {
      throw new TokenizerException(
          "the native tokenizer library does not load on "
              + System.getProperty("os.name")
              + " "
              + System.getProperty("os.arch")
              + "; it is unpacked below DJL_CACHE_DIR, by default ~/.djl.ai, which must be writable",
          e);
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString();
      long handle = TokenizersLibrary.LIB.createTokenizerFromString(text);
      TokenizersLibrary.LIB.disableTruncation(handle);
      TokenizersLibrary.LIB.disablePadding(handle);
      return handle;
    } catch (CharacterCodingException | RuntimeException e) {
      throw new TokenizerException(
          source + " is corrupt or no tokenizer: " + e.getMessage() + "; fetch it again", e);
    }
  }

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    String wellFormed = wellFormed(text);
    long[] ids =
        whileOpen(
            tokenizer -> {
              long encoding = TokenizersLibrary.LIB.encode(tokenizer, wellFormed, addSpecialTokens);
              try {
                return TokenizersLibrary.LIB.getTokenIds(encoding);
              } finally {
                TokenizersLibrary.LIB.deleteEncoding(encoding);
              }
            });
    int[] result = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      result[i] = (int) ids[i];
    }
    return result;
  }

  /** The text with halves of surrogate pairs, which have no UTF-8, replaced by U+FFFD. */
  private static String wellFormed(String text) {
    StringBuilder repaired = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isSurrogate(c)) {
        if (Character.isHighSurrogate(c)
            && i + 1 < text.length()
            && Character.isLowSurrogate(text.charAt(i + 1))) {
          i++;
        } else {
          repaired = repaired == null ? new StringBuilder(text) : repaired;
          repaired.setCharAt(i, '\uFFFD');
        }
      }
    }
    return repaired == null ? text : repaired.toString();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    long[] known = new long[ids.length];
    int count = 0;
    for (int id : ids) {
      if (vocabulary.token(id) != null) {
        known[count++] = id;
      }
    }
    long[] tokens = count == known.length ? known : Arrays.copyOf(known, count);
    return whileOpen(
        tokenizer -> TokenizersLibrary.LIB.decode(tokenizer, tokens, skipSpecialTokens));
  }

  private <T> T whileOpen(LongFunction<T> call) {
    lock.readLock().lock();
    try {
      if (handle == 0) {
        throw new IllegalStateException("the tokenizer is closed");
      }
      return call.apply(handle);
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public int vocabularySize() {
    return vocabulary.size();
  }

  @Override
  public @Nullable String token(int id) {
    return vocabulary.token(id);
  }

  @Override
  public int id(String token) {
    return vocabulary.id(token);
  }

  @Override
  public boolean isSpecial(int id) {
    return vocabulary.isSpecial(id);
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (handle != 0) {
        TokenizersLibrary.LIB.deleteTokenizer(handle);
        handle = 0;
      }
    } finally {
      lock.writeLock().unlock();
    }
  }
}
