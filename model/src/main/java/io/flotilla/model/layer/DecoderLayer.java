package io.flotilla.model.layer;

/** One layer of a pre-norm decoder: attention and MLP, each behind its norm and added back. */
public record DecoderLayer(
    RmsNorm attentionNorm, SelfAttention attention, RmsNorm mlpNorm, FeedForward mlp) {}
