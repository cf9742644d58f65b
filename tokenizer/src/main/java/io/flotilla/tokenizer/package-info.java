/** Text to token ids and back: the vocabulary, chat templates and incremental detokenisation. */
@NullMarked
package io.flotilla.tokenizer;

import org.jspecify.annotations.NullMarked;
