/** {@code flotilla plan}: the layouts of a model, before it is loaded. */
@NullMarked
package io.flotilla.cli.plan;

import org.jspecify.annotations.NullMarked;
