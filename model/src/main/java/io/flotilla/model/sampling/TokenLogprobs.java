package io.flotilla.model.sampling;

/**
 * Natural log-probabilities at one position, of the model's own distribution before temperature and
 * penalties, as vLLM reports them.
 *
 * @param token the token that stands here
 * @param logprob its log-probability
 * @param rank how many tokens are at least as likely; 1 for the likeliest
 * @param topTokens the likeliest tokens, likeliest first; empty when only the token's own was asked
 * @param topLogprobs theirs
 */
public record TokenLogprobs(
    int token, float logprob, int rank, int[] topTokens, float[] topLogprobs) {}
