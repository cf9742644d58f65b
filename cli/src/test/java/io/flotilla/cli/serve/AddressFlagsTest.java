package io.flotilla.cli.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.cli.option.UsageException;
import io.flotilla.server.ServerOptions;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

class AddressFlagsTest {
  @Command(name = "test")
  private static final class Host {
    @Mixin final AddressFlags address = new AddressFlags();
  }

  private static ServerOptions parse(Map<String, String> environment, String... args) {
    Host host = new Host();
    new CommandLine(host).parseArgs(args);
    return host.address.toOptions("a-model", environment);
  }

  @Test
  void listensToThisMachineAloneUnlessTold() {
    ServerOptions options = parse(Map.of());
    assertThat(options)
        .isEqualTo(
            new ServerOptions(
                "127.0.0.1",
                8000,
                List.of(),
                List.of("a-model"),
                null,
                null,
                List.of(),
                32L << 20,
                "flotilla"));
    assertThat(AddressFlags.isOpenToOthers(options)).isFalse();
  }

  @Test
  void takesKeysFromFlagsAndFromTheEnvironment() {
    Map<String, String> environment = Map.of("FLOTILLA_API_KEY", "c", "VLLM_API_KEY", "d");
    ServerOptions options = parse(environment, "--api-key", "a", "--api-key", "b");
    assertThat(options.apiKeys()).containsExactly("a", "b", "c", "d");
  }

  @Test
  void tellsWhenOthersCanComeInWithoutAKey() {
    assertThat(AddressFlags.isOpenToOthers(parse(Map.of(), "--host", "0.0.0.0"))).isTrue();
    assertThat(AddressFlags.isOpenToOthers(parse(Map.of(), "--host", "0.0.0.0", "--api-key", "a")))
        .isFalse();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--port 70000 | --port is 70000",
        "--ssl-certfile /none.pem | --ssl-certfile is /none.pem, which is no readable file",
        "--metrics-prefix a:b | --metrics-prefix is 'a:b'",
      })
  void refusesWhatCannotBe(String line, String message) {
    assertThatThrownBy(() -> parse(Map.of(), line.split(" ")))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining(message);
  }

  @Test
  void refusesAPortThatIsTaken() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      ServerOptions options = parse(Map.of(), "--port", String.valueOf(taken.getLocalPort()));
      assertThatThrownBy(() -> AddressFlags.requireFree(options))
          .isInstanceOf(UsageException.class)
          .hasMessageContaining("port " + taken.getLocalPort())
          .hasMessageContaining("choose another --port");
    }
    AddressFlags.requireFree(parse(Map.of(), "--port", "0"));
  }

  @Test
  void refusesAHostThatIsNone() {
    ServerOptions options = parse(Map.of(), "--host", "no.such.host.invalid");
    assertThatThrownBy(() -> AddressFlags.requireFree(options))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("no.such.host.invalid");
  }
}
