/** Where benchmark prompts come from: random tokens, ShareGPT or one's own lines. */
@NullMarked
package io.flotilla.bench.dataset;

import org.jspecify.annotations.NullMarked;
