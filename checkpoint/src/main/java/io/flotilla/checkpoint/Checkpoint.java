package io.flotilla.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;

/**
 * A model on disk: its shape, its recommended sampling and its weights. The weights are mapped, one
 * mapping a file, and handed out as slices of it; nothing of them is copied to the heap. A tensor
 * may start at any byte: safetensors aligns nothing.
 */
public final class Checkpoint implements WeightSource {
  private static final String LAST_NORM = "model.norm.weight";

  /** A page. */
  private static final int CHECKED_BYTES = 4096;

  private static final long MAX_INDEX = 16L << 20;
  private static final String INDEX = "model.safetensors.index.json";

  private final Path path;
  private final ModelConfig config;
  private final GenerationDefaults generation;
  private final @Nullable GgufTokenizer tokenizer;
  private final Map<String, TensorEntry> tensors;
  private final Arena arena;

  private Checkpoint(
      Path path,
      ModelConfig config,
      GenerationDefaults generation,
      @Nullable GgufTokenizer tokenizer,
      Map<String, TensorEntry> tensors,
      Arena arena) {
    this.path = path;
    this.config = config;
    this.generation = generation;
    this.tokenizer = tokenizer;
    this.tensors = tensors;
    this.arena = arena;
  }

  /**
   * Opens a folder with {@code config.json} and safetensors (one file, or shards with {@code
   * model.safetensors.index.json}), or a {@code .gguf} file.
   *
   * @throws CheckpointException when something is missing, corrupt or not supported
   */
  @SuppressWarnings("MustBeClosedChecker") // The arena is closed with the checkpoint.
  public static Checkpoint open(Path path) {
    Arena arena = Arena.ofShared();
    try {
      return isGguf(path) ? openGguf(path, arena) : openFolder(path, arena);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  private static boolean isGguf(Path path) {
    return Files.isRegularFile(path) && path.toString().toLowerCase(Locale.ROOT).endsWith(".gguf");
  }

  private static Checkpoint openGguf(Path path, Arena arena) {
    GgufFile file = GgufFile.read(path.toString(), MappedFile.map(path, arena));
    Map<String, TensorEntry> stored = new HashMap<>();
    Map<String, TensorEntry> tensors = new TreeMap<>();
    for (TensorEntry tensor : file.tensors()) {
      String name = GgufNames.huggingFace(tensor.name());
      if (stored.put(tensor.name(), tensor) != null
          || (name != null && tensors.put(name, tensor) != null)) {
        throw new CheckpointException(path + ": tensor " + tensor.name() + " appears twice");
      }
    }
    GgufTokenizer tokenizer = GgufTokenizer.read(file.metadata());
    return new Checkpoint(
        path,
        GgufConfig.model(file.metadata(), stored, tokenizer),
        GgufConfig.generation(file.metadata()),
        tokenizer,
        tensors,
        arena);
  }

  private static Checkpoint openFolder(Path folder, Arena arena) {
    if (!Files.isDirectory(folder)) {
      throw new CheckpointException(
          folder
              + (Files.exists(folder)
                  ? " is neither a folder nor a .gguf file"
                  : " does not exist"));
    }
    ModelConfig config = ConfigFiles.model(folder);
    GenerationDefaults generation = ConfigFiles.generation(folder);
    Map<String, TensorEntry> tensors =
        Files.exists(folder.resolve(INDEX))
            ? openShards(folder, arena)
            : openFile(singleFile(folder), arena);
    return new Checkpoint(folder, config, generation, null, tensors, arena);
  }

  private static Map<String, TensorEntry> openFile(Path file, Arena arena) {
    Map<String, TensorEntry> tensors = new TreeMap<>();
    for (TensorEntry entry : SafetensorsFile.read(file.toString(), MappedFile.map(file, arena))) {
      tensors.put(entry.name(), entry);
    }
    return tensors;
  }

  private static Path singleFile(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      List<Path> found =
          files.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
      if (found.size() == 1) {
        return found.getFirst();
      }
      throw new CheckpointException(
          folder
              + (found.isEmpty()
                  ? " holds no .safetensors file; the only other weights that are read are those of"
                      + " a .gguf file, named by its own path"
                  : " holds " + found.size() + " .safetensors files and no " + INDEX));
    } catch (IOException e) {
      throw new CheckpointException(folder + " cannot be listed: " + e, e);
    }
  }

  private static Map<String, TensorEntry> openShards(Path folder, Arena arena) {
    JsonFields index = JsonFields.read(folder.resolve(INDEX), MAX_INDEX);
    JsonFields shardOf = index.object("weight_map");
    if (shardOf == null) {
      throw index.error("weight_map", "is missing");
    }
    Map<String, Map<String, TensorEntry>> shards = new HashMap<>();
    Map<String, TensorEntry> tensors = new TreeMap<>();
    for (String name : shardOf.names()) {
      String shard = shardName(shardOf, name);
      Map<String, TensorEntry> held =
          shards.computeIfAbsent(shard, s -> openFile(shard(folder, s), arena));
      TensorEntry tensor = held.get(name);
      if (tensor == null) {
        throw shardOf.error(name, "is not in " + shard + ": index and shards do not match");
      }
      tensors.put(name, tensor);
    }
    return tensors;
  }

  private static String shardName(JsonFields shardOf, String tensor) {
    String shard = shardOf.text(tensor);
    if (shard == null || !shard.matches("[A-Za-z0-9_][A-Za-z0-9_.-]*\\.safetensors")) {
      throw shardOf.error(tensor, "is " + shard + ", not the name of a .safetensors file");
    }
    return shard;
  }

  private static Path shard(Path folder, String name) {
    Path file = folder.resolve(name);
    if (!Files.exists(file)) {
      throw new CheckpointException(
          "shard " + file + " is missing, though " + INDEX + " names it; download it");
    }
    return file;
  }

  /** The model's shape. */
  public ModelConfig config() {
    return config;
  }

  /** The sampling that the model's authors recommend. */
  public GenerationDefaults generation() {
    return generation;
  }

  /** The tokenizer inside a GGUF file; null for a folder, whose tokenizer is its own files. */
  public @Nullable GgufTokenizer tokenizer() {
    return tokenizer;
  }

  /** The names of all tensors, sorted. */
  public Set<String> names() {
    return Collections.unmodifiableSet(tensors.keySet());
  }

  /**
   * Name, type and shape of every tensor, one a line, sorted; and a checksum of the start of the
   * last norm, by which models of one shape are told apart.
   */
  public String index() {
    StringBuilder index = new StringBuilder();
    for (TensorEntry tensor : tensors.values()) {
      index.append(tensor.name()).append(' ').append(tensor.typeName()).append(' ');
      index.append(tensor.shape()).append('\n');
    }
    TensorEntry norm = tensors.get(LAST_NORM);
    if (norm != null) {
      CRC32 checksum = new CRC32();
      long bytes = Math.min(CHECKED_BYTES, norm.data().byteSize());
      checksum.update(norm.data().asSlice(0, bytes).asByteBuffer());
      index.append(checksum.getValue()).append('\n');
    }
    return index.toString();
  }

  @Override
  public boolean has(String name) {
    return tensors.containsKey(name);
  }

  @Override
  public StoredTensor tensor(String name, long... shape) {
    TensorEntry tensor = tensors.get(name);
    if (tensor == null) {
      throw new CheckpointException(path + ": tensor " + name + " is missing");
    }
    List<Long> wanted = Arrays.stream(shape).boxed().toList();
    if (!tensor.shape().equals(wanted)) {
      throw new CheckpointException(
          tensor.file()
              + ": tensor "
              + name
              + " has shape "
              + tensor.shape()
              + "; the model's configuration calls for "
              + wanted);
    }
    if (tensor.type() == null) {
      throw new CheckpointException(
          tensor.file()
              + ": tensor "
              + name
              + " is "
              + tensor.typeName()
              + "; weights in F32, F16 and BF16 are supported");
    }
    return new StoredTensor(name, tensor.type(), tensor.shape(), tensor.data());
  }

  @Override
  public long totalBytes() {
    return tensors.values().stream().mapToLong(tensor -> tensor.data().byteSize()).sum();
  }

  @Override
  public void close() {
    arena.close();
  }
}
