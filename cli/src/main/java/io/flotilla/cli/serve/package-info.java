/** {@code flotilla serve}: a model behind an address. */
@NullMarked
package io.flotilla.cli.serve;

import org.jspecify.annotations.NullMarked;
