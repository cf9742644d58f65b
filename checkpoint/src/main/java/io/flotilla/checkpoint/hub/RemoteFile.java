package io.flotilla.checkpoint.hub;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * A file of a repository.
 *
 * @param name its path within the repository
 * @param bytes its size
 * @param hash SHA-256 of the content in 64 hexadecimal digits (large files), or the SHA-1 of the
 *     git blob in 40; also the name of the blob in the cache
 */
record RemoteFile(String name, long bytes, String hash) {
  /** A digest that gives {@link #hash} once it has seen the content. */
  MessageDigest newDigest() {
    try {
      if (hash.length() == 64) {
        return MessageDigest.getInstance("SHA-256");
      }
      MessageDigest digest = MessageDigest.getInstance("SHA-1");
      digest.update(("blob " + bytes + "\0").getBytes(StandardCharsets.US_ASCII));
      return digest;
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-1 and SHA-256", e);
    }
  }
}
