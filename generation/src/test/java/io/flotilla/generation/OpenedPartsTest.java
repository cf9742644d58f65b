package io.flotilla.generation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class OpenedPartsTest {
  private final List<String> closed = new ArrayList<>();

  @Test
  void closesTheLastFirstAndOnce() {
    OpenedParts parts = new OpenedParts();
    parts.add(() -> closed.add("weights"));
    parts.add(() -> closed.add("engine"));
    parts.close();
    parts.close();
    assertThat(closed).containsExactly("engine", "weights");
  }

  @Test
  void closesTheRestWhenOneFails() {
    OpenedParts parts = new OpenedParts();
    parts.add(() -> closed.add("weights"));
    parts.add(
        () -> {
          throw new IllegalStateException("stuck");
        });
    assertThatThrownBy(parts::close).hasMessage("stuck");
    assertThat(closed).containsExactly("weights");
  }
}
