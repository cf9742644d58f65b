package io.flotilla.executor.wire;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What nodes tell each other first: who they are, and everything that must be the same on all of
 * them. Its form never changes, so that nodes of any two versions can tell that they differ.
 *
 * @param protocol version of everything that follows
 * @param node its number
 * @param fields what must be the same, such as a flag and its value
 */
public record Hello(int protocol, int node, SequencedMap<String, String> fields) {
  /** The version of frames and of what they carry. */
  public static final int PROTOCOL = 1;

  private static final int MAGIC = 0x464C_4F54;
  private static final int MOST_FIELDS = 256;

  public Hello {
    fields = new LinkedHashMap<>(fields);
  }

  /** The first words of this version. */
  public static Hello of(NodePlace place, SequencedMap<String, String> fields) {
    return new Hello(PROTOCOL, place.node(), fields);
  }

  void write(DataOutputStream to) throws IOException {
    to.writeInt(MAGIC);
    to.writeInt(protocol);
    to.writeInt(node);
    to.writeInt(fields.size());
    for (Map.Entry<String, String> field : fields.entrySet()) {
      to.writeUTF(field.getKey());
      to.writeUTF(field.getValue());
    }
    to.flush();
  }

  /**
   * @throws IOException when nothing comes, or it is no hello
   */
  static Hello read(DataInputStream from) throws IOException {
    if (from.readInt() != MAGIC) {
      throw new IOException("it does not speak Flotilla's protocol");
    }
    int protocol = from.readInt();
    int node = from.readInt();
    int count = from.readInt();
    if (count < 0 || count > MOST_FIELDS) {
      throw new IOException("it says that %d options follow".formatted(count));
    }
    SequencedMap<String, String> fields = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      fields.put(from.readUTF(), from.readUTF());
    }
    return new Hello(protocol, node, fields);
  }

  /** What differs, such as {@code --tensor-parallel-size is 2 here and 1 there}. */
  List<String> differences(Hello other) {
    List<String> found = new ArrayList<>();
    if (protocol != other.protocol) {
      found.add("the protocol is %d here and %d there".formatted(protocol, other.protocol));
    }
    fields.forEach((name, value) -> compare(name, value, other.fields.get(name), found));
    TreeSet<String> unknown = new TreeSet<>(other.fields.keySet());
    unknown.removeAll(fields.keySet());
    unknown.forEach(
        name ->
            found.add("%s is %s there and not known here".formatted(name, other.fields.get(name))));
    return found;
  }

  private static void compare(
      String name, String here, @Nullable String there, List<String> found) {
    if (!here.equals(there)) {
      found.add(
          there == null
              ? "%s is %s here and not known there".formatted(name, here)
              : "%s is %s here and %s there".formatted(name, here, there));
    }
  }
}
