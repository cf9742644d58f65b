/** {@code flotilla models}: the hub's cache. */
@NullMarked
package io.flotilla.cli.models;

import org.jspecify.annotations.NullMarked;
