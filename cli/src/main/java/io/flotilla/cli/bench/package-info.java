/** {@code flotilla bench}: the flags of the benchmarks; the benchmarks are another module. */
@NullMarked
package io.flotilla.cli.bench;

import org.jspecify.annotations.NullMarked;
