package io.flotilla.cli.option;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.executor.Topology;
import io.flotilla.executor.wire.NodePlace;
import io.flotilla.generation.EngineOptions;
import io.flotilla.generation.Placement;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

class EngineFlagsTest {
  @Command(name = "test")
  private static final class Host {
    @Mixin final EngineFlags engine = new EngineFlags();
  }

  private static EngineOptions parse(String... args) {
    Host host = new Host();
    new CommandLine(host).parseArgs(args);
    return host.engine.toOptions("a-model");
  }

  @Test
  void saysNothingMoreThanTheEnginesOwnDefaults() {
    assertThat(parse()).isEqualTo(EngineOptions.of("a-model"));
  }

  @Test
  void setsWhatIsSaid() {
    String line =
        "--tokenizer t --chat-template c --load-format dummy -q q4_0 "
            + "--dtype float32 --device cpu --threads 2 --max-model-len 64 "
            + "--max-num-seqs 3 --max-num-batched-tokens 32 --max-waiting 5 "
            + "--kv-cache-memory-bytes 1MiB --no-enable-prefix-caching "
            + "--seed 7 --gpu-memory-utilization 0.5 -tp 4 -pp 2 "
            + "--pipeline-layers 3,5 --cores-per-rank 1 --oversubscribe --device-ids 0,0 "
            + "--enable-expert-parallel -pcp 3 -dcp 2";
    EngineOptions options = parse(line.split(" "));

    EngineOptions defaults = EngineOptions.of("a-model");
    assertThat(options)
        .isEqualTo(
            new EngineOptions(
                "a-model",
                "t",
                "c",
                "dummy",
                "q4_0",
                "float32",
                "cpu",
                2,
                new Topology(1, 2, 4, 3, 2, true),
                new Placement(List.of(3, 5), 1, true, List.of(0, 0), NodePlace.ALONE),
                64,
                3,
                32,
                5,
                1 << 20,
                0.5,
                defaults.blockSize(),
                false,
                7));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--seed 1",
        "--load-format dummy -q q4_0 --dtype float32 --device cpu --threads 2 --max-model-len 64"
            + " --max-num-seqs 3 --max-num-batched-tokens 32 --max-waiting 5"
            + " --kv-cache-memory-bytes 1MiB --no-enable-prefix-caching --seed -7"
            + " --gpu-memory-utilization 0.5 -tp 4 -pp 2 --pipeline-layers 3,5 --cores-per-rank 1"
            + " --oversubscribe --device-ids 0,0 --enable-expert-parallel -pcp 3 -dcp 2"
      })
  void aReplicaGetsTheOptionsOfItsServer(String line) {
    EngineOptions options = parse(line.split(" "));

    assertThat(parse(EngineFlags.argumentsOf(options).toArray(String[]::new))).isEqualTo(options);
  }

  @ParameterizedTest
  @CsvSource({
    "--pipeline-parallel-size=-1, --pipeline-parallel-size is -1",
    "--cores-per-rank=-1, --cores-per-rank is -1",
    "--gpu-memory-utilization=1.5, --gpu-memory-utilization is 1.5",
    "-dp=2, --data-parallel-size is 2",
    "-dcp=0, --decode-context-parallel-size is 0",
    "-pcp=0, --prefill-context-parallel-size is 0",
    "-tp=0, --tensor-parallel-size is 0",
    "--dtype=float16, --dtype is float16",
    "--device=tpu, --device is tpu",
    "--load-format=pt, --load-format is pt",
    "--max-num-seqs=0, --max-num-seqs is 0",
    "--threads=-1, --threads is -1"
  })
  void refusesWhatItCannotHonour(String flag, String message) {
    assertThatThrownBy(() -> parse(flag))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining(message);
  }
}
