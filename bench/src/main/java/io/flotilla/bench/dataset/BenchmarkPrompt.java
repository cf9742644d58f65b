package io.flotilla.bench.dataset;

/**
 * One request of a benchmark.
 *
 * @param prompt text as it is sent
 * @param promptTokens tokens of the prompt; the server's own count replaces it where there is one
 * @param outputTokens tokens to ask for at most
 */
public record BenchmarkPrompt(String prompt, int promptTokens, int outputTokens) {}
