/** What the user sees besides answers: log lines, and progress while they wait. */
@NullMarked
package io.flotilla.cli.terminal;

import org.jspecify.annotations.NullMarked;
