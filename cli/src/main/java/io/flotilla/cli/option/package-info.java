/**
 * What the command line can say, shared by commands: flags, their units, and the file that can hold
 * them. It turns words into options and refuses what this version cannot honour.
 */
@NullMarked
package io.flotilla.cli.option;

import org.jspecify.annotations.NullMarked;
