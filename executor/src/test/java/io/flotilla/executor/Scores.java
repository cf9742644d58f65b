package io.flotilla.executor;

import io.flotilla.model.sampling.TokenLogprobs;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a sequence was given: the tokens and log-probabilities at each position, floats by their
 * bits, so that two are equal only when nothing at all differs.
 */
record Scores(Map<Integer, String> prompt, Map<Integer, String> outputs) {
  Scores() {
    this(new TreeMap<>(), new TreeMap<>());
  }

  static String bits(TokenLogprobs logprobs) {
    StringBuilder bits = new StringBuilder();
    append(bits, logprobs.token(), logprobs.logprob());
    bits.append(" rank ").append(logprobs.rank());
    for (int i = 0; i < logprobs.topTokens().length; i++) {
      append(bits, logprobs.topTokens()[i], logprobs.topLogprobs()[i]);
    }
    return bits.toString();
  }

  private static void append(StringBuilder bits, int token, float logprob) {
    bits.append(' ').append(token).append(':');
    bits.append(Integer.toHexString(Float.floatToRawIntBits(logprob)));
  }
}
