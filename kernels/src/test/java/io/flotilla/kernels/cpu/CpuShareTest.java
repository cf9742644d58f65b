package io.flotilla.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import org.junit.jupiter.api.Test;

class CpuShareTest {
  @Test
  void sharesCoresEvenly() {
    assertThat(CpuShare.divide(3, 8, 0, false))
        .hasSize(3)
        .allMatch(share -> share.threads() == 2 && !share.oversubscribed());
  }

  @Test
  void givesEachRankWhatWasAskedFor() {
    assertThat(CpuShare.divide(2, 8, 3, false)).allMatch(share -> share.threads() == 3);
  }

  @Test
  void refusesMoreRanksThanThereAreCores() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> CpuShare.divide(4, 3, 0, false))
        .withMessage(
            "4 ranks of 1 core need 4, there are 3: use at most 3 ranks or --oversubscribe");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> CpuShare.divide(3, 5, 2, false))
        .withMessage(
            "3 ranks of 2 cores need 6, there are 5: use at most 2 ranks or --oversubscribe");
  }

  @Test
  void crowdedRanksNeitherSpinNorAreTheyPinned() {
    List<CpuShare> shares = CpuShare.divide(4, 3, 0, true);
    assertThat(shares)
        .hasSize(4)
        .allMatch(share -> share.threads() == 1 && share.oversubscribed())
        .allMatch(share -> share.processors().isEmpty());
    try (CpuDevice device = CpuDevice.open(shares.getFirst())) {
      assertThat(device.spinNanos()).isZero();
    }
  }

  @Test
  void oneRankRunsWhereItLikes() {
    assertThat(CpuShare.divide(1, 0, 0, false).getFirst().processors()).isEmpty();
  }

  @Test
  void pinnedRanksHaveProcessorsOfTheirOwn() {
    int processors = Runtime.getRuntime().availableProcessors();
    List<CpuShare> shares = CpuShare.divide(processors, 0, 0, false);
    List<Integer> pinned = shares.stream().flatMap(s -> s.processors().stream()).toList();
    assertThat(pinned).doesNotHaveDuplicates();
    if (processors > 1 && Affinity.allowed().size() == processors) {
      assertThat(pinned).hasSize(processors);
    }
  }

  @Test
  void aPinnedThreadStaysOnItsProcessors() throws InterruptedException {
    List<Integer> allowed = Affinity.allowed();
    if (allowed.isEmpty()) {
      return; // Not Linux.
    }
    Thread thread =
        new Thread(
            () -> {
              Affinity.pin(allowed.subList(0, 1));
              assertThat(Affinity.allowed()).isEqualTo(allowed.subList(0, 1));
            });
    Throwable[] failure = new Throwable[1];
    thread.setUncaughtExceptionHandler((_, thrown) -> failure[0] = thrown);
    thread.start();
    thread.join();
    assertThat(failure[0]).isNull();
  }
}
