package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The cache as the hub's own tools lay it out.
 *
 * <pre>
 * models--ORG--NAME/refs/REVISION            the commit, as text
 * models--ORG--NAME/blobs/HASH               a file's content
 * models--ORG--NAME/blobs/HASH.incomplete    a file being fetched
 * models--ORG--NAME/snapshots/COMMIT/FILE    a link to its blob
 * .locks/models--ORG--NAME/HASH.lock         held while a blob is fetched
 * </pre>
 */
final class HubCache {
  private static final String PREFIX = "models--";

  private final Path root;

  HubCache(Path root) {
    this.root = root;
  }

  private Path folder(String id) {
    return root.resolve(PREFIX + id.replace("/", "--"));
  }

  Path blob(String id, RemoteFile file) {
    return folder(id).resolve("blobs").resolve(file.hash());
  }

  Path lock(String id, RemoteFile file) {
    return root.resolve(".locks")
        .resolve(PREFIX + id.replace("/", "--"))
        .resolve(file.hash() + ".lock");
  }

  Path snapshot(String id, String commit) {
    return folder(id).resolve("snapshots").resolve(commit);
  }

  /** The snapshot that a revision meant when it was last fetched, or null. */
  @Nullable Path snapshot(ModelReference reference) {
    String commit =
        reference.isCommit() ? reference.revision() : readReference(reference.id(), reference);
    if (commit == null) {
      return null;
    }
    Path snapshot = snapshot(reference.id(), commit);
    return Files.isDirectory(snapshot) ? snapshot : null;
  }

  private @Nullable String readReference(String id, ModelReference reference) {
    Path file = folder(id).resolve("refs").resolve(reference.revision());
    if (!Files.isRegularFile(file)) {
      return null;
    }
    try {
      String commit = Files.readString(file).strip();
      return ModelReference.isCommit(commit) ? commit : null;
    } catch (IOException e) {
      throw new CheckpointException(file + " cannot be read: " + e, e);
    }
  }

  /** Remembers which commit a branch or tag means. */
  void writeReference(ModelReference reference, String commit) throws IOException {
    if (reference.isCommit()) {
      return;
    }
    Path file = folder(reference.id()).resolve("refs").resolve(reference.revision());
    Path parent = file.resolveSibling("");
    Files.createDirectories(parent);
    Path fresh = Files.createTempFile(parent, "ref", null);
    Files.writeString(fresh, commit);
    Files.move(fresh, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
  }

  /** Makes a blob appear under its name in the snapshot. */
  void link(String id, String commit, RemoteFile file) throws IOException {
    Path link = snapshot(id, commit).resolve(file.name());
    Path parent = link.resolveSibling("");
    Files.createDirectories(parent);
    if (Files.exists(link)) {
      return;
    }
    Files.deleteIfExists(link);
    try {
      Files.createSymbolicLink(link, parent.relativize(blob(id, file)));
    } catch (FileAlreadyExistsException e) {
      // Another process fetched the same commit: its link is as good.
    }
  }

  /** The models that have a snapshot, by name. */
  List<CachedModel> list() {
    if (!Files.isDirectory(root)) {
      return List.of();
    }
    List<CachedModel> models = new ArrayList<>();
    try {
      for (Path folder : children(root)) {
        String name = folder.getFileName().toString();
        if (name.startsWith(PREFIX) && Files.isDirectory(folder.resolve("snapshots"))) {
          String id = name.substring(PREFIX.length()).replaceFirst("--", "/");
          for (Path snapshot : children(folder.resolve("snapshots"))) {
            models.add(new CachedModel(id, revision(folder, snapshot), bytes(snapshot), snapshot));
          }
        }
      }
    } catch (IOException e) {
      throw new CheckpointException("the cache " + root + " cannot be listed: " + e, e);
    }
    models.sort(Comparator.comparing(CachedModel::id).thenComparing(CachedModel::revision));
    return models;
  }

  private static String revision(Path folder, Path snapshot) throws IOException {
    String commit = snapshot.getFileName().toString();
    Path references = folder.resolve("refs");
    if (!Files.isDirectory(references)) {
      return commit;
    }
    try (Stream<Path> files = Files.walk(references)) {
      for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
        if (Files.readString(file).strip().equals(commit)) {
          return references.relativize(file).toString();
        }
      }
    }
    return commit;
  }

  private static long bytes(Path snapshot) throws IOException {
    long bytes = 0;
    try (Stream<Path> files = Files.walk(snapshot)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }

  private static List<Path> children(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }
}
