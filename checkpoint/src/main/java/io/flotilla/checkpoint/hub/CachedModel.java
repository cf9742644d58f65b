package io.flotilla.checkpoint.hub;

import java.nio.file.Path;

/**
 * A model in the cache.
 *
 * @param id {@code ORG/NAME}
 * @param revision the branch or tag it was fetched by, or the commit where none is known
 * @param bytes bytes of the snapshot's files
 * @param path the snapshot's folder
 */
public record CachedModel(String id, String revision, long bytes, Path path) {}
