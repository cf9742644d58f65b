package io.flotilla.executor;

/**
 * What a step costs one rank.
 *
 * @param weightBytes of weights read; of experts those that evenly routed tokens choose
 * @param multiplyAdds in products with weights
 * @param reducedBytes sent to other ranks of the stage: by an all-reduce of B bytes over n ranks 2
 *     (n - 1) / n B
 * @param passedBytes sent to other stages
 */
public record StepCost(long weightBytes, long multiplyAdds, long reducedBytes, long passedBytes) {}
