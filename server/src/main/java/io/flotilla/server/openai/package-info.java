/**
 * OpenAI's dialect: what its requests mean, which are refused, and the shapes of its answers. It
 * knows nothing of sockets; {@link io.flotilla.server.openai.Exchange} stands for them.
 */
@NullMarked
package io.flotilla.server.openai;

import org.jspecify.annotations.NullMarked;
