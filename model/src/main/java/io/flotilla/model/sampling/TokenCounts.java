package io.flotilla.model.sampling;

import java.util.Arrays;

/**
 * Which tokens a sequence's prompt holds, and how often each was generated: what penalties need. An
 * open-addressed table that grows with distinct tokens, not with the vocabulary.
 */
public final class TokenCounts {
  private static final int EMPTY = -1;
  private static final int IN_PROMPT = 1 << 31;

  private int[] tokens = filled(64);
  // Bit 31: in the prompt. The rest: times generated.
  private int[] counts = new int[64];
  private int size;

  /** Counts of an empty sequence. */
  public TokenCounts() {}

  /** A token of the prompt. */
  public void addPrompt(int token) {
    int slot = slot(token);
    counts[slot] |= IN_PROMPT;
  }

  /** A generated token. */
  public void addOutput(int token) {
    int slot = slot(token);
    counts[slot]++;
  }

  /**
   * Applies repetition, then frequency and presence penalties to a row of logits, in place.
   *
   * @param firstId the id of the row's first logit
   */
  void penalise(float[] logits, int firstId, SamplingParameters parameters) {
    for (int slot = 0; slot < tokens.length; slot++) {
      int index = tokens[slot] - firstId;
      if (tokens[slot] == EMPTY || index < 0 || index >= logits.length) {
        continue;
      }
      float logit = logits[index];
      logit =
          logit > 0
              ? logit / parameters.repetitionPenalty()
              : logit * parameters.repetitionPenalty();
      int generated = counts[slot] & ~IN_PROMPT;
      if (generated > 0) {
        logit -= generated * parameters.frequencyPenalty() + parameters.presencePenalty();
      }
      logits[index] = logit;
    }
  }

  /** The token's slot; the table may have grown. */
  private int slot(int token) {
    if (2 * (size + 1) > tokens.length) {
      grow();
    }
    int slot = find(tokens, token);
    if (tokens[slot] == EMPTY) {
      tokens[slot] = token;
      size++;
    }
    return slot;
  }

  private void grow() {
    int[] largerTokens = filled(2 * tokens.length);
    int[] largerCounts = new int[largerTokens.length];
    for (int slot = 0; slot < tokens.length; slot++) {
      if (tokens[slot] != EMPTY) {
        int target = find(largerTokens, tokens[slot]);
        largerTokens[target] = tokens[slot];
        largerCounts[target] = counts[slot];
      }
    }
    tokens = largerTokens;
    counts = largerCounts;
  }

  private static int find(int[] table, int token) {
    int mask = table.length - 1;
    int slot = (token * 0x9E3779B9) >>> 7 & mask;
    while (table[slot] != EMPTY && table[slot] != token) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private static int[] filled(int length) {
    int[] table = new int[length];
    Arrays.fill(table, EMPTY);
    return table;
  }
}
