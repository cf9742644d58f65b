package io.flotilla.checkpoint.hub;

import io.flotilla.checkpoint.CheckpointException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A model on the hub, written {@code ORG/NAME[/FILE.gguf][@REVISION]}.
 *
 * @param id {@code ORG/NAME}
 * @param file a GGUF file within the repository, or null for the model in safetensors
 * @param revision a branch, a tag or a commit
 */
record ModelReference(String id, @Nullable String file, String revision) {
  private static final String PART = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}";
  private static final Pattern REFERENCE =
      Pattern.compile(
          "(%1$s/%1$s)((?:/%1$s){1,4}\\.gguf)?(?:@(%1$s(?:/%1$s){0,4}))?".formatted(PART));
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

  /**
   * @throws CheckpointException when the text is no such reference
   */
  static ModelReference parse(String text) {
    Matcher matcher = REFERENCE.matcher(text);
    if (!matcher.matches() || text.contains("..")) {
      throw new CheckpointException(
          text
              + " is neither a folder, nor a .gguf file, nor a Hugging Face id (ORG/NAME,"
              + " ORG/NAME@REVISION or ORG/NAME/FILE.gguf)");
    }
    String file = matcher.group(2);
    String revision = matcher.group(3);
    return new ModelReference(
        matcher.group(1),
        file == null ? null : file.substring(1),
        revision == null ? "main" : revision);
  }

  /** Whether the revision can never mean something else. */
  boolean isCommit() {
    return isCommit(revision);
  }

  static boolean isCommit(String revision) {
    return COMMIT.matcher(revision).matches();
  }

  @Override
  public String toString() {
    return (file == null ? id : id + "/" + file) + (revision.equals("main") ? "" : "@" + revision);
  }
}
