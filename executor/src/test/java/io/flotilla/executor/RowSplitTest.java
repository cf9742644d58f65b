package io.flotilla.executor;

import static org.assertj.core.api.Assertions.assertThat;

import io.flotilla.executor.RowSplit.Run;
import io.flotilla.executor.StepPlan.SequenceStep;
import io.flotilla.executor.StepPlan.TokenInput.Known;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class RowSplitTest {
  private static RowSplit deal(int ranks, int... counts) {
    RowSplit split = new RowSplit(ranks);
    List<SequenceStep> sequences =
        Arrays.stream(counts)
            .mapToObj(
                count -> new SequenceStep(0, null, 0, new Known(new int[count]), new int[0], true))
            .toList();
    split.deal(sequences);
    return split;
  }

  @Test
  void oneRankHasEverySequenceWhole() {
    RowSplit split = deal(1, 5, 1, 40);
    assertThat(split.runs())
        .containsExactly(new Run(0, 0, 0, 5), new Run(0, 1, 0, 1), new Run(0, 2, 0, 40));
    assertThat(split.mostRows()).isEqualTo(46);
    assertThat(split.place(45)).isEqualTo(45);
  }

  @Test
  void aPromptsFrontAndBackGoToTheSameRank() {
    RowSplit split = deal(2, 40);
    assertThat(split.runs())
        .containsExactly(
            new Run(0, 0, 0, 10),
            new Run(1, 0, 10, 10),
            new Run(1, 0, 20, 10),
            new Run(0, 0, 30, 10));
    assertThat(split.owner(9)).isZero();
    assertThat(split.owner(10)).isEqualTo(1);
    assertThat(split.place(30)).isEqualTo(10);
  }

  @Test
  void ranksAttendToAsManyTokens() {
    for (int ranks : new int[] {2, 3, 4}) {
      int tokens = 960;
      RowSplit split = deal(ranks, tokens);
      long[] attended = new long[ranks];
      for (int row = 0; row < tokens; row++) {
        attended[split.owner(row)] += row + 1;
      }
      long all = (long) tokens * (tokens + 1) / 2;
      assertThat(attended).containsOnly(all / ranks);
    }
  }

  @Test
  void shortSequencesGoWholeToTheRankWithLeast() {
    RowSplit split = deal(2, 1, 3, 1, 1, 1, 1);
    assertThat(split.runs().stream().map(Run::rank)).containsExactly(0, 1, 0, 0, 0, 1);
    assertThat(split.mostRows()).isEqualTo(4);
  }
}
