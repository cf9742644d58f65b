/**
 * {@code flotilla chat} and {@code complete}: a model to talk to, behind an address or in this
 * process.
 */
@NullMarked
package io.flotilla.cli.chat;

import org.jspecify.annotations.NullMarked;
