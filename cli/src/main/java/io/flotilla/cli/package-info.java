/** The {@code flotilla} command: one class a subcommand. */
@NullMarked
package io.flotilla.cli;

import org.jspecify.annotations.NullMarked;
