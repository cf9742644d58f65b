/**
 * From the outcomes of requests to the figures, the table and the JSON that users of {@code vllm
 * bench serve} know. It sends nothing.
 */
@NullMarked
package io.flotilla.bench.report;

import org.jspecify.annotations.NullMarked;
