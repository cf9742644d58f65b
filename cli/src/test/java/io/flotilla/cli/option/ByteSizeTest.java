package io.flotilla.cli.option;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class ByteSizeTest {
  private final ByteSize converter = new ByteSize();

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "1000, 1000",
    "17B, 17",
    "4GiB, 4294967296",
    "4 GiB, 4294967296",
    "4G, 4294967296",
    "4g, 4000000000",
    "1.5GB, 1500000000",
    "512MiB, 536870912",
    "2k, 2000",
    "2K, 2048",
    "1TiB, 1099511627776"
  })
  void readsUnitsAsVllmDoes(String text, long bytes) {
    assertThat(converter.convert(text)).isEqualTo(bytes);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "GiB", "-1", "4XB", "4iB", "1e9", "4GiBs"})
  void refusesWhatIsNoSize(String text) {
    assertThatThrownBy(() -> converter.convert(text))
        .isInstanceOf(TypeConversionException.class)
        .hasMessageContaining("4GiB");
  }

  @Test
  void formatsForReaders() {
    assertThat(ByteSize.format(512)).isEqualTo("512 B");
    assertThat(ByteSize.format(31_482_176)).isEqualTo("30.0 MiB");
    assertThat(ByteSize.format(3L << 30)).isEqualTo("3.0 GiB");
  }
}
