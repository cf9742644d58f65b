package io.flotilla.kernels.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ThreadTeamTest {
  private static final int[] SIZES = {0, 1, 2, 3, 7, 13, 64, 207, 4098};

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void runsEveryTileExactlyOnce(int threads) {
    try (ThreadTeam team = new ThreadTeam(threads)) {
      for (int tiles : SIZES) {
        AtomicIntegerArray runs = new AtomicIntegerArray(tiles);
        team.run(tiles, (tile, _) -> runs.incrementAndGet(tile));
        for (int tile = 0; tile < tiles; tile++) {
          assertThat(runs.get(tile)).as("tile %s of %s", tile, tiles).isEqualTo(1);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void writesOfTilesAreSeenByTheCallerAndByTheNextOperation(int threads) {
    int tiles = 5;
    int[] values = new int[tiles];
    try (ThreadTeam team = new ThreadTeam(threads)) {
      for (int i = 0; i < 10_000; i++) {
        team.run(tiles, (tile, _) -> values[tile]++);
      }
    }
    assertThat(values).containsOnly(10_000);
  }

  @Test
  void wakesThreadsThatHaveParked() throws Exception {
    try (ThreadTeam team = new ThreadTeam(2)) {
      for (int i = 0; i < 20; i++) {
        Thread.sleep(Duration.ofMillis(1));
        runOnBoth(team);
      }
    }
  }

  @Test
  void callerParksUntilASlowTileIsDone() {
    AtomicBoolean slept = new AtomicBoolean();
    try (ThreadTeam team = new ThreadTeam(2)) {
      CountDownLatch both = new CountDownLatch(2);
      team.run(
          2,
          (_, worker) -> {
            await(both);
            if (worker == 1) {
              sleep(20);
              slept.set(true);
            }
          });
      assertThat(slept).isTrue();
    }
  }

  @Test
  void noTwoTilesRunWithTheSameWorkerNumberAtOnce() {
    int threads = 4;
    AtomicIntegerArray running = new AtomicIntegerArray(threads);
    AtomicInteger clashes = new AtomicInteger();
    try (ThreadTeam team = new ThreadTeam(threads)) {
      team.run(
          5_000,
          (_, worker) -> {
            if (running.incrementAndGet(worker) != 1) {
              clashes.incrementAndGet();
            }
            running.decrementAndGet(worker);
          });
    }
    assertThat(clashes).hasValue(0);
  }

  @Test
  void callerIsWorkerZeroAndASingleTileRunsOnIt() {
    try (ThreadTeam team = new ThreadTeam(3)) {
      Thread caller = Thread.currentThread();
      team.run(
          1,
          (_, worker) -> {
            assertThat(worker).isZero();
            assertThat(Thread.currentThread()).isSameAs(caller);
          });
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4})
  void throwsATilesExceptionOnTheCallerOnceNoTileRuns(int threads) {
    try (ThreadTeam team = new ThreadTeam(threads)) {
      for (int i = 0; i < 500; i++) {
        AtomicInteger running = new AtomicInteger();
        assertThatThrownBy(
                () ->
                    team.run(
                        50,
                        (tile, _) -> {
                          running.incrementAndGet();
                          try {
                            failOn(tile, 20);
                          } finally {
                            running.decrementAndGet();
                          }
                        }))
            .isInstanceOf(ArithmeticException.class)
            .hasMessage("tile 20");
        assertThat(running).hasValue(0);
      }
      AtomicInteger runs = new AtomicInteger();
      team.run(50, (_, _) -> runs.incrementAndGet());
      assertThat(runs).as("the team still works").hasValue(50);
    }
  }

  @Test
  void throwsAnExceptionOfAnotherThreadsTile() {
    try (ThreadTeam team = new ThreadTeam(2)) {
      CountDownLatch both = new CountDownLatch(2);
      assertThatThrownBy(
              () ->
                  team.run(
                      2,
                      (_, worker) -> {
                        await(both);
                        failOn(worker, 1);
                      }))
          .isInstanceOf(ArithmeticException.class);
      runOnBoth(team);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void progressGrowsByOneForEachTile(int threads) {
    try (ThreadTeam team = new ThreadTeam(threads)) {
      long expected = 0;
      for (int tiles : SIZES) {
        team.run(tiles, (_, _) -> {});
        expected += tiles;
        assertThat(team.progress()).isEqualTo(expected);
      }
    }
  }

  @Test
  void progressIsSeenWhileAnOperationRuns() {
    try (ThreadTeam team = new ThreadTeam(1)) {
      team.run(3, (tile, _) -> assertThat(team.progress()).isEqualTo(tile));
    }
  }

  @Test
  void anOperationUnderWayFinishesWhenTheTeamIsClosed() throws Exception {
    for (int i = 0; i < 200; i++) {
      ThreadTeam team = new ThreadTeam(3);
      AtomicInteger runs = new AtomicInteger();
      CountDownLatch begun = new CountDownLatch(1);
      Thread closer =
          Thread.ofPlatform()
              .start(
                  () -> {
                    waitFor(begun);
                    team.close();
                  });
      team.run(
          200,
          (_, _) -> {
            begun.countDown();
            runs.incrementAndGet();
          });
      closer.join();
      assertThat(runs).hasValue(200);
    }
  }

  @Test
  void threadsEndWhenTheTeamIsClosed() throws Exception {
    Set<Thread> threads = ConcurrentHashMap.newKeySet();
    ThreadTeam team = new ThreadTeam(2);
    CountDownLatch both = new CountDownLatch(2);
    team.run(
        2,
        (_, worker) -> {
          await(both);
          if (worker > 0) {
            threads.add(Thread.currentThread());
          }
        });
    assertThat(threads).hasSize(1).allMatch(Thread::isDaemon);
    team.close();
    for (Thread thread : threads) {
      assertThat(thread.join(Duration.ofSeconds(10))).isTrue();
    }
    team.close();
    assertThatThrownBy(() -> team.run(1, (_, _) -> {})).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void refusesATeamOfNobody() {
    assertThatThrownBy(() -> new ThreadTeam(0)).isInstanceOf(IllegalArgumentException.class);
  }

  /** Passes only when the caller and the other thread each take one of two tiles. */
  private static void runOnBoth(ThreadTeam team) {
    CountDownLatch both = new CountDownLatch(2);
    team.run(2, (_, _) -> await(both));
  }

  private static void await(CountDownLatch latch) {
    latch.countDown();
    waitFor(latch);
  }

  private static void waitFor(CountDownLatch latch) {
    try {
      assertThat(latch.await(10, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void failOn(int number, int failing) {
    if (number == failing) {
      throw new ArithmeticException("tile " + number);
    }
  }
}
