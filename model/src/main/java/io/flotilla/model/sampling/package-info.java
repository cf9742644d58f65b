/** From logits to token ids: penalties, filters, keyed noise and log-probabilities. */
@NullMarked
package io.flotilla.model.sampling;

import org.jspecify.annotations.NullMarked;
