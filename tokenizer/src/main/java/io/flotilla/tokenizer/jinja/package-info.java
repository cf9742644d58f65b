/**
 * Jinja templates as Hugging Face's transformers renders them, on jinjava. It owns every difference
 * between jinjava and Jinja2, and knows nothing of models and conversations.
 */
@NullMarked
package io.flotilla.tokenizer.jinja;

import org.jspecify.annotations.NullMarked;
