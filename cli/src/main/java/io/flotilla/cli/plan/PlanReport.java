package io.flotilla.cli.plan;

import io.flotilla.executor.LayoutPlan;
import io.flotilla.executor.LayoutPlan.RankPlan;
import io.flotilla.executor.StepCost;
import io.flotilla.executor.Topology;
import io.flotilla.generation.Machine;
import io.flotilla.generation.ModelPlan;
import io.flotilla.generation.ModelPlan.PlannedLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A plan as text and as JSON. */
record PlanReport(String model, ModelPlan plan) {
  private static final String NEW_LINE = System.lineSeparator();
  private static final String FIGURES = " %11s %11s %11s %9s %12s %12s %12s %11s %11s%n";

  /** A table, the layouts that do not fit, and the one that is recommended. */
  String text() {
    StringBuilder text = new StringBuilder();
    text.append(machine()).append(NEW_LINE);
    text.append(
        "A rank's bytes are those of the rank with most; decode is one token of one sequence, a"
            + " prefill step %s tokens.".formatted(prefillTokens()));
    text.append(NEW_LINE).append(NEW_LINE);
    text.append(place("pp", "pcp", "tp", "dcp", "ep", "ranks"));
    text.append(
        FIGURES.formatted(
            "weights",
            "KV/token",
            "KV tokens",
            "sequences",
            "read/decode",
            "sent/decode",
            "sent/prefill",
            "decode >=",
            "prefill >="));
    for (PlannedLayout layout : plan.layouts()) {
      text.append(row(layout));
    }
    text.append(NEW_LINE);
    if (isMixture()) {
      text.append(expertRule()).append(NEW_LINE);
    }
    text.append(recommendation()).append(NEW_LINE);
    return text.toString();
  }

  private String machine() {
    Machine machine = plan.machine();
    String memory =
        machine.deviceMemory() == 0
            ? "shared memory"
            : "%s each".formatted(size(machine.deviceMemory()));
    String speed =
        machine.speed().isKnown()
            ? String.format(
                Locale.ROOT,
                "reads %.1f GB/s, sends %.1f GB/s, %.3f T multiply-adds/s",
                machine.speed().readBytes() / 1e9,
                machine.speed().linkBytes() / 1e9,
                machine.speed().multiplyAdds() / 1e12)
            : "speeds not given, so no floors";
    return "%s on %s: at most %d ranks, %s; %s"
        .formatted(model, machine.name(), machine.devices(), memory, speed);
  }

  private String prefillTokens() {
    return plan.layouts().stream()
        .filter(layout -> layout.plan() != null)
        .map(layout -> Objects.requireNonNull(layout.plan()).ranks().getFirst().memory().options())
        .map(options -> Math.min(options.maxBatchedTokens(), options.maxModelLength()))
        .findFirst()
        .map(String::valueOf)
        .orElse("0");
  }

  private String row(PlannedLayout layout) {
    Topology topology = layout.topology();
    String place =
        place(
            Integer.toString(topology.pipeline()),
            Integer.toString(topology.prefillContext()),
            Integer.toString(topology.tensor()),
            Integer.toString(topology.decodeContext()),
            experts(layout),
            Integer.toString(topology.ranksPerReplica()));
    LayoutPlan fitting = layout.plan();
    if (fitting == null) {
      return place + "  does not fit: %s%n".formatted(layout.obstacle());
    }
    return place
        + FIGURES.formatted(
            size(fitting.largestWeights()),
            size((long) fitting.kvBytesPerToken()),
            Long.toString(fitting.kvTokens()),
            String.format(Locale.ROOT, "%.1f", layout.sequences()),
            size(fitting.largestRead(RankPlan::decode)),
            size(fitting.largestSent(RankPlan::decode)),
            size(fitting.largestSent(RankPlan::prefill)),
            time(layout.decodeFloor()),
            time(layout.prefillFloor()));
  }

  private static String place(
      String pipeline, String context, String tensor, String tokens, String experts, String ranks) {
    return "%3s %3s %3s %3s %-7s %5s".formatted(pipeline, context, tensor, tokens, experts, ranks);
  }

  private String experts(PlannedLayout layout) {
    if (!isMixture()) {
      return "-";
    }
    String way = layout.topology().expertParallel() ? "whole" : "split";
    return plan.sharesExpertsBetter(layout) ? way + " *" : way;
  }

  private boolean isMixture() {
    return plan.config().experts() != null;
  }

  private String expertRule() {
    return String.format(
        Locale.ROOT,
        "ep: whole experts a rank (-ep) or a part of each (split); * has fewer bytes read/decode +"
            + " %.1f x sent/decode of the two on the same ranks.",
        plan.machine().speed().readsPerSent());
  }

  private String recommendation() {
    Optional<PlannedLayout> best = plan.recommended();
    if (best.isEmpty()) {
      return "Nothing fits: more devices, or more memory of each.";
    }
    String why =
        best.get().decodeFloor() > 0
            ? "the lowest floor of a token, with the fewest ranks of those within 2 %"
            : "the fewest ranks that fit";
    return "Recommended: %s (%s)".formatted(flags(best.get().topology()), why);
  }

  /** The flags that ask for a layout. */
  static String flags(Topology topology) {
    List<String> flags = new ArrayList<>();
    add(flags, "-tp", topology.tensor());
    add(flags, "-pp", topology.pipeline());
    add(flags, "-pcp", topology.prefillContext());
    add(flags, "-dcp", topology.decodeContext());
    if (topology.expertParallel()) {
      flags.add("-ep");
    }
    return flags.isEmpty() ? "one rank" : String.join(" ", flags);
  }

  private static void add(List<String> flags, String flag, int size) {
    if (size > 1) {
      flags.add(flag + " " + size);
    }
  }

  private static String time(double seconds) {
    return seconds == 0 ? "-" : String.format(Locale.ROOT, "%.2f ms", 1000 * seconds);
  }

  private static String size(long bytes) {
    double value = bytes;
    for (String unit : List.of("B", "KiB", "MiB")) {
      if (value < 1024) {
        return String.format(Locale.ROOT, unit.equals("B") ? "%.0f %s" : "%.1f %s", value, unit);
      }
      value /= 1024;
    }
    return String.format(Locale.ROOT, "%.2f GiB", value);
  }

  /** One object; times in seconds, sizes in bytes. */
  String json() {
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("model", model);
    Machine machine = plan.machine();
    json.putObject("machine")
        .put("name", machine.name())
        .put("devices", machine.devices())
        .put("device_memory_bytes", machine.deviceMemory())
        .put("read_bytes_per_second", machine.speed().readBytes())
        .put("link_bytes_per_second", machine.speed().linkBytes())
        .put("multiply_adds_per_second", machine.speed().multiplyAdds());
    for (PlannedLayout layout : plan.layouts()) {
      ObjectNode written = json.withArray("layouts").addObject();
      write(layout, written);
      if (isMixture()) {
        written.put("shares_experts_better", plan.sharesExpertsBetter(layout));
      }
    }
    if (isMixture()) {
      json.put("expert_rule", expertRule());
    }
    plan.recommended().ifPresent(best -> write(best.topology(), json.putObject("recommended")));
    return json.toPrettyString() + NEW_LINE;
  }

  private static void write(PlannedLayout layout, ObjectNode json) {
    write(layout.topology(), json);
    LayoutPlan fitting = layout.plan();
    if (fitting == null) {
      json.put("obstacle", layout.obstacle());
      return;
    }
    json.put("weight_bytes", fitting.largestWeights());
    json.put("kv_bytes_per_token", fitting.kvBytesPerToken());
    json.put("kv_tokens", fitting.kvTokens());
    json.put("max_concurrency", layout.sequences());
    json.put("decode_floor_seconds", layout.decodeFloor());
    json.put("prefill_floor_seconds", layout.prefillFloor());
    for (RankPlan rank : fitting.ranks()) {
      ObjectNode stage = json.withArray("stages").addObject();
      stage.put("weight_bytes", rank.memory().weights());
      stage.put("total_bytes", rank.memory().total());
      stage.put(
          "kv_bytes_per_token",
          (double) rank.memory().kvBlock() / rank.memory().options().tokensPerBlock());
      write(rank.decode(), stage.putObject("decode_step"));
      write(rank.prefill(), stage.putObject("prefill_step"));
    }
  }

  private static void write(Topology topology, ObjectNode json) {
    json.put("tensor_parallel_size", topology.tensor());
    json.put("pipeline_parallel_size", topology.pipeline());
    json.put("prefill_context_parallel_size", topology.prefillContext());
    json.put("decode_context_parallel_size", topology.decodeContext());
    json.put("enable_expert_parallel", topology.expertParallel());
    json.put("ranks", topology.ranksPerReplica());
  }

  private static void write(StepCost cost, ObjectNode json) {
    json.put("weight_bytes_read", cost.weightBytes());
    json.put("multiply_adds", cost.multiplyAdds());
    json.put("bytes_sent_in_stage", cost.reducedBytes());
    json.put("bytes_sent_between_stages", cost.passedBytes());
  }
}
