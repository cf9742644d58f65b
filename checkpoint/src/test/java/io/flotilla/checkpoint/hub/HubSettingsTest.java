package io.flotilla.checkpoint.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HubSettingsTest {
  @TempDir private Path home;

  @Test
  void usesTheHubsOwnDefaults() {
    HubSettings settings = HubSettings.of(Map.of(), home);
    assertThat(settings.endpoint()).hasToString("https://huggingface.co");
    assertThat(settings.cache()).isEqualTo(home.resolve(".cache/huggingface/hub"));
    assertThat(settings.token()).isNull();
    assertThat(settings.offline()).isFalse();
  }

  @Test
  void followsTheEnvironment() {
    HubSettings settings =
        HubSettings.of(
            Map.of(
                "HF_HOME", "~/models",
                "HF_TOKEN", " secret\n",
                "HF_ENDPOINT", "http://mirror.example:8080/",
                "HF_HUB_OFFLINE", "yes"),
            home);
    assertThat(settings.endpoint()).hasToString("http://mirror.example:8080");
    assertThat(settings.cache()).isEqualTo(home.resolve("models/hub"));
    assertThat(settings.token()).isEqualTo("secret");
    assertThat(settings.offline()).isTrue();
    assertThat(settings.toString()).doesNotContain("secret");
  }

  @Test
  void prefersTheCacheThatIsNamedItself() {
    HubSettings settings =
        HubSettings.of(Map.of("HF_HOME", "/elsewhere", "HF_HUB_CACHE", "/cache"), home);
    assertThat(settings.cache()).isEqualTo(Path.of("/cache"));
  }

  @Test
  void readsTheTokenFile() throws IOException {
    Path file = home.resolve(".cache/huggingface/token");
    Files.createDirectories(file.getParent());
    Files.writeString(file, "stored\n");
    assertThat(HubSettings.of(Map.of(), home).token()).isEqualTo("stored");
    assertThat(HubSettings.of(Map.of("HF_TOKEN", "named"), home).token()).isEqualTo("named");
  }

  @Test
  void refusesAnEndpointThatIsNoAddress() {
    for (String endpoint : new String[] {"huggingface.co", "ftp://host", "http://a b"}) {
      assertThatThrownBy(() -> HubSettings.of(Map.of("HF_ENDPOINT", endpoint), home))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("HF_ENDPOINT");
    }
  }
}
