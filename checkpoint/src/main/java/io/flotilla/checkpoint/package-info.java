/**
 * Models on disk and on the hub. It maps files and says what lies where; it refuses what is corrupt
 * before a byte of it is used. It knows nothing of devices or arithmetic.
 */
@NullMarked
package io.flotilla.checkpoint;

import org.jspecify.annotations.NullMarked;
