package io.flotilla.executor;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.flotilla.kernels.Buffer;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Stream;
import io.flotilla.kernels.Tensor;
import io.flotilla.kernels.TokenChoice;
import io.flotilla.kernels.TokenChoice.Penalties;
import io.flotilla.kernels.TokenSampling;
import io.flotilla.kernels.cpu.CpuBuffer;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;

/** What a device has to choose, written as plainly as can be, on a CPU. */
final class ReferenceSampling implements TokenSampling {
  private final List<TokenChoice> choices = new ArrayList<>();

  /** Choices made so far. */
  int sampled;

  /** A CPU device that samples, and that pads rows as a GPU does. */
  Device on(Device cpu) {
    return (Device)
        Proxy.newProxyInstance(
            Device.class.getClassLoader(),
            new Class<?>[] {Device.class},
            (_, method, arguments) -> {
              if (method.getName().equals("sampling")) {
                return Optional.of(this);
              }
              if (method.getName().equals("paddedRows")) {
                return ((int) arguments[0] + 3) / 4 * 4;
              }
              try {
                return method.invoke(cpu, arguments);
              } catch (InvocationTargetException e) {
                throw e.getTargetException();
              }
            });
  }

  @Override
  public long rowBytes() {
    return 4;
  }

  @Override
  public long editBytes() {
    return 8;
  }

  @Override
  public void describe(MemorySegment rows, int row, TokenChoice choice) {
    rows.setAtIndex(JAVA_INT, row, choices.size());
    choices.add(choice);
  }

  @Override
  public void edit(MemorySegment edits, int index, int id, float bias) {
    edits.setAtIndex(JAVA_INT, 2L * index, id);
    edits.setAtIndex(JAVA_FLOAT, 2L * index + 1, bias);
  }

  private static MemorySegment memory(Buffer buffer) {
    return ((CpuBuffer) buffer).segment();
  }

  @Override
  public void sample(Stream stream, Rows rows, Sequences sequences, Choices chosen) {
    for (int r = 0; r < rows.logits().rows(); r++) {
      TokenChoice choice = choices.get(memory(rows.rows()).getAtIndex(JAVA_INT, r));
      MemorySegment logits = memory(rows.logits().sliceRows(r, 1).buffer());
      MemorySegment history = memory(sequences.histories().sliceRows(choice.slot(), 1).buffer());
      if (rows.adjusts()) {
        adjust(logits, choice, memory(rows.edits()), history);
      }
      float[] row = logits.toArray(JAVA_FLOAT);
      int token = choose(row, choice);
      memory(chosen.tokens().buffer()).setAtIndex(JAVA_INT, r, token);
      memory(sequences.last().buffer()).setAtIndex(JAVA_INT, choice.slot(), Math.max(token, 0));
      Penalties penalties = choice.penalties();
      if (penalties != null && penalties.tokens() < sequences.histories().columns()) {
        history.setAtIndex(JAVA_INT, penalties.tokens(), Math.max(token, 0));
      }
      if (rows.sorts() && choice.likeliest() >= 0 && token >= 0) {
        report(row, token, choice, memory(chosen.reports().sliceRows(r, 1).buffer()));
      }
      sampled++;
    }
  }

  private static void adjust(
      MemorySegment logits, TokenChoice choice, MemorySegment edits, MemorySegment history) {
    long ids = logits.byteSize() / Float.BYTES;
    int first = choice.edits().first();
    int masked = first + choice.edits().biases();
    for (int i = first; i < masked; i++) {
      int id = edits.getAtIndex(JAVA_INT, 2L * i);
      if (id >= 0 && id < ids) {
        float bias = edits.getAtIndex(JAVA_FLOAT, 2L * i + 1);
        logits.setAtIndex(JAVA_FLOAT, id, logits.getAtIndex(JAVA_FLOAT, id) + bias);
      }
    }
    Penalties penalties = choice.penalties();
    if (penalties != null) {
      penalise(logits, history, penalties);
    }
    for (int i = masked; i < masked + choice.edits().masked(); i++) {
      int id = edits.getAtIndex(JAVA_INT, 2L * i);
      if (id >= 0 && id < ids) {
        logits.setAtIndex(JAVA_FLOAT, id, Float.NEGATIVE_INFINITY);
      }
    }
  }

  private static void penalise(MemorySegment logits, MemorySegment history, Penalties penalties) {
    Map<Integer, Integer> generated = new HashMap<>();
    for (int i = 0; i < penalties.tokens(); i++) {
      int isOutput = i < penalties.promptTokens() ? 0 : 1;
      generated.merge(history.getAtIndex(JAVA_INT, i), isOutput, Integer::sum);
    }
    generated.forEach(
        (id, times) -> {
          float logit = logits.getAtIndex(JAVA_FLOAT, id);
          logit = logit > 0 ? logit / penalties.repetition() : logit * penalties.repetition();
          if (times > 0) {
            logit -= times * penalties.frequency() + penalties.presence();
          }
          logits.setAtIndex(JAVA_FLOAT, id, logit);
        });
  }

  private static boolean isNumber(float logit) {
    return !Float.isNaN(logit) && !Float.isInfinite(logit);
  }

  /** Ids of numbers, likeliest first. */
  private static List<Integer> ranked(float[] row) {
    return IntStream.range(0, row.length)
        .filter(id -> isNumber(row[id]))
        .boxed()
        .sorted(Comparator.<Integer>comparingDouble(id -> -row[id]).thenComparing(id -> id))
        .toList();
  }

  private static int choose(float[] row, TokenChoice choice) {
    List<Integer> ids = ranked(row);
    if (ids.isEmpty() || choice.temperature() == 0) {
      return ids.isEmpty() ? -1 : ids.getFirst();
    }
    float largest = row[ids.getFirst()];
    List<Integer> kept =
        ids.stream()
            .limit(choice.topK() == 0 ? ids.size() : choice.topK())
            .filter(id -> value(row[id], largest, choice) >= choice.least())
            .sorted(
                Comparator.<Integer>comparingDouble(id -> -value(row[id], largest, choice))
                    .thenComparing(id -> id))
            .toList();
    double total = 0;
    for (int id : kept) {
      total += Math.exp(value(row[id], largest, choice));
    }
    double sum = 0;
    Set<Integer> nucleus = new HashSet<>();
    for (int id : kept) {
      if (choice.topP() >= 1 || sum < choice.topP() * total || nucleus.isEmpty()) {
        nucleus.add(id);
        sum += Math.exp(value(row[id], largest, choice));
      }
    }
    return nucleus.stream()
        .max(
            Comparator.<Integer>comparingDouble(
                    id -> value(row[id], largest, choice) + gumbel(choice.noiseKey(), id))
                .thenComparingInt(id -> -id))
        .orElseThrow();
  }

  private static float value(float logit, float largest, TokenChoice choice) {
    return (logit - largest) / choice.temperature();
  }

  private static double gumbel(long key, int id) {
    long z = key + (id + 1L) * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    z = z ^ (z >>> 31);
    return -Math.log(-Math.log1p(-((z >>> 12) + 0.5) * 0x1p-52));
  }

  private static void report(float[] row, int token, TokenChoice choice, MemorySegment report) {
    List<Integer> ids = ranked(row);
    double sum = 0;
    int rank = 0;
    for (int id : ids) {
      sum += Math.exp((double) row[id] - row[ids.getFirst()]);
      rank += row[id] >= row[token] ? 1 : 0;
    }
    double normaliser = row[ids.getFirst()] + Math.log(sum);
    report.setAtIndex(JAVA_INT, 0, rank);
    report.setAtIndex(JAVA_FLOAT, 1, (float) (row[token] - normaliser));
    for (int i = 0; i < choice.likeliest(); i++) {
      int id = i < ids.size() ? ids.get(i) : -1;
      report.setAtIndex(JAVA_INT, 2 + 2L * i, id);
      report.setAtIndex(JAVA_FLOAT, 3 + 2L * i, id < 0 ? 0 : (float) (row[id] - normaliser));
    }
  }

  @Override
  public void takeLast(Stream stream, Tensor ids, Tensor slots, Tensor last) {
    for (int i = 0; i < slots.columns(); i++) {
      int slot = memory(slots.buffer()).getAtIndex(JAVA_INT, i);
      if (slot >= 0) {
        int token = memory(last.buffer()).getAtIndex(JAVA_INT, slot);
        memory(ids.buffer()).setAtIndex(JAVA_INT, i, token);
      }
    }
  }
}
