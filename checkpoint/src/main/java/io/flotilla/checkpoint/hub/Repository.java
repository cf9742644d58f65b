package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/**
 * A repository at one commit.
 *
 * @param commit 40 hexadecimal digits
 */
record Repository(ModelReference reference, String commit, List<RemoteFile> files) {
  private static final Pattern HASH = Pattern.compile("[0-9a-f]{40}|[0-9a-f]{64}");
  private static final Pattern NAME =
      Pattern.compile("[^/\\x00-\\x1f]{1,200}(/[^/\\x00-\\x1f]{1,200}){0,9}");
  private static final Pattern SUPPORTING =
      Pattern.compile(
          "config\\.json|generation_config\\.json|tokenizer[^/]*|chat_template[^/]*"
              + "|special_tokens_map\\.json|added_tokens\\.json|vocab\\.(json|txt)|merges\\.txt"
              + "|model\\.safetensors\\.index\\.json");

  Repository {
    files = List.copyOf(files);
  }

  /**
   * From what {@code /api/models/ID/revision/REVISION?blobs=true} answers.
   *
   * @throws CheckpointException when the answer is not of that form
   */
  static Repository of(ModelReference reference, JsonNode answer) {
    String commit = answer.path("sha").asString("");
    if (!ModelReference.isCommit(commit)) {
      throw malformed(reference, "commit " + commit);
    }
    List<RemoteFile> files = new ArrayList<>();
    for (JsonNode sibling : answer.path("siblings")) {
      String name = sibling.path("rfilename").asString("");
      JsonNode large = sibling.path("lfs");
      String hash = large.path("sha256").asString(sibling.path("blobId").asString(""));
      long bytes = large.path("size").asLong(sibling.path("size").asLong(-1));
      if (!NAME.matcher(name).matches() || List.of(name.split("/")).contains("..")) {
        throw malformed(reference, "file name " + name);
      }
      if (bytes < 0 || !HASH.matcher(hash).matches()) {
        throw malformed(reference, "size or hash of " + name);
      }
      files.add(new RemoteFile(name, bytes, hash));
    }
    return new Repository(reference, commit, files);
  }

  private static CheckpointException malformed(ModelReference reference, String what) {
    return new CheckpointException(
        "the hub's description of "
            + reference
            + " cannot be understood ("
            + what
            + "); check HF_ENDPOINT");
  }

  /**
   * The files that serving the model takes: configuration, tokenizer, and weights in safetensors;
   * or the one GGUF file that the reference names. Smallest first, so that what is wrong shows
   * early.
   *
   * @param weights false for configuration and tokenizer alone
   * @throws CheckpointException when there are no weights that can be read
   */
  List<RemoteFile> needed(boolean weights) {
    if (reference.file() != null) {
      return List.of(named(reference.file()));
    }
    List<RemoteFile> needed = new ArrayList<>(matching(name -> SUPPORTING.matcher(name).matches()));
    if (weights) {
      needed.addAll(weights());
    }
    needed.sort((a, b) -> Long.compare(a.bytes(), b.bytes()));
    return needed;
  }

  private List<RemoteFile> weights() {
    if (!matching("model.safetensors.index.json"::equals).isEmpty()) {
      return matching(name -> name.matches("model-[^/]*\\.safetensors"));
    }
    List<RemoteFile> single = matching("model.safetensors"::equals);
    List<RemoteFile> any = matching(name -> name.matches("[^/]*\\.safetensors"));
    if (any.isEmpty()) {
      throw new CheckpointException(reference + noWeights());
    }
    return single.isEmpty() ? any : single;
  }

  private String noWeights() {
    List<RemoteFile> gguf = matching(name -> name.endsWith(".gguf"));
    if (!gguf.isEmpty()) {
      return " holds GGUF files only; name one of them, such as "
          + reference.id()
          + "/"
          + gguf.getFirst().name();
    }
    return matching(name -> name.endsWith(".bin")).isEmpty()
        ? " holds no weights"
        : " holds weights in PyTorch's .bin format only, which is not read; choose a repository with"
            + " safetensors";
  }

  private RemoteFile named(String name) {
    List<RemoteFile> found = matching(name::equals);
    if (found.isEmpty()) {
      List<String> others =
          matching(other -> other.endsWith(".gguf")).stream().map(RemoteFile::name).toList();
      throw new CheckpointException(
          reference.id() + " holds no file " + name + "; its GGUF files are " + others);
    }
    return found.getFirst();
  }

  private List<RemoteFile> matching(Predicate<String> wanted) {
    return files.stream().filter(file -> wanted.test(file.name())).toList();
  }
}
