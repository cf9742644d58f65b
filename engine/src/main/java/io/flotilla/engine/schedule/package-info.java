/**
 * Which tokens of which sequence the next step computes. It owns the queues, the slots, the token
 * budget and preemption, and applies results to sequences. It waits for nothing, talks to no
 * executor and keeps no time.
 */
@NullMarked
package io.flotilla.engine.schedule;

import org.jspecify.annotations.NullMarked;
