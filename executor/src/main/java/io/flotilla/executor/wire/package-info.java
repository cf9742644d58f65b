/**
 * Connections between the JVMs of one replica: how they find each other, make sure that they belong
 * together, and exchange frames of bytes. Knows neither plans nor ranks.
 */
@NullMarked
package io.flotilla.executor.wire;

import org.jspecify.annotations.NullMarked;
