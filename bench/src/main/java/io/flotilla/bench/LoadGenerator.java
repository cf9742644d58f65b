package io.flotilla.bench;

import io.flotilla.bench.client.OpenAiClient;
import io.flotilla.bench.client.ServerException;
import io.flotilla.bench.dataset.BenchmarkPrompt;
import io.flotilla.bench.report.RequestOutcome;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/** Sends requests as a {@link Load} says and takes their times. A request is a virtual thread. */
public final class LoadGenerator {
  /**
   * A run's result.
   *
   * @param outcomes in the order of the prompts
   * @param durationNanos from the first request's sending to the last one's end
   */
  public record Run(List<RequestOutcome> outcomes, long durationNanos) {}

  private final OpenAiClient client;
  private final ServeTarget target;

  public LoadGenerator(OpenAiClient client, ServeTarget target) {
    this.client = client;
    this.target = target;
  }

  /**
   * Sends one prompt, to find out whether the server takes it.
   *
   * @throws ServerException when it does not
   */
  public void probe(BenchmarkPrompt prompt) throws ServerException, InterruptedException {
    RequestOutcome outcome = send(prompt);
    if (outcome.error() != null) {
      throw new ServerException(outcome.error());
    }
  }

  /**
   * Warms the server up, then sends every prompt and waits for all ends.
   *
   * @param progress hears how many requests have ended, from any thread
   */
  public Run run(List<BenchmarkPrompt> prompts, Load load, IntConsumer progress)
      throws InterruptedException {
    if (load.warmups() > 0) {
      double[] atOnce = new double[load.warmups()];
      sendAll(Collections.nCopies(load.warmups(), prompts.getFirst()), load, atOnce, _ -> {});
    }
    double[] arrivals =
        ArrivalTimes.of(prompts.size(), load.requestRate(), load.burstiness(), load.seed());
    long start = System.nanoTime();
    List<RequestOutcome> outcomes = sendAll(prompts, load, arrivals, progress);
    return new Run(outcomes, System.nanoTime() - start);
  }

  private List<RequestOutcome> sendAll(
      List<BenchmarkPrompt> prompts, Load load, double[] arrivals, IntConsumer progress)
      throws InterruptedException {
    @Nullable Semaphore permits =
        load.maxConcurrency() == 0 ? null : new Semaphore(load.maxConcurrency(), true);
    Semaphore ended = new Semaphore(0);
    List<Future<RequestOutcome>> futures = new ArrayList<>();
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      long start = System.nanoTime();
      for (int i = 0; i < prompts.size(); i++) {
        BenchmarkPrompt prompt = prompts.get(i);
        sleepUntil(start + (long) (arrivals[i] * 1e9));
        futures.add(
            threads.submit(
                () -> {
                  RequestOutcome outcome = sendWithin(permits, prompt);
                  ended.release();
                  progress.accept(ended.availablePermits());
                  return outcome;
                }));
      }
      List<RequestOutcome> outcomes = new ArrayList<>();
      for (Future<RequestOutcome> future : futures) {
        outcomes.add(await(future));
      }
      return outcomes;
    } catch (InterruptedException e) {
      futures.forEach(future -> future.cancel(true));
      throw e;
    }
  }

  private static RequestOutcome await(Future<RequestOutcome> future) throws InterruptedException {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException(e.getCause());
    }
  }

  private static void sleepUntil(long moment) throws InterruptedException {
    TimeUnit.NANOSECONDS.sleep(moment - System.nanoTime());
  }

  private RequestOutcome sendWithin(@Nullable Semaphore permits, BenchmarkPrompt prompt)
      throws InterruptedException {
    if (permits == null) {
      return send(prompt);
    }
    permits.acquire();
    try {
      return send(prompt);
    } finally {
      permits.release();
    }
  }

  private RequestOutcome send(BenchmarkPrompt prompt) throws InterruptedException {
    RequestTimer timer = new RequestTimer(System::nanoTime, prompt.promptTokens());
    try {
      client.stream(target.endpoint(), target.request(prompt), timer);
      return timer.finish(null);
    } catch (ServerException e) {
      return timer.finish(e.getMessage());
    }
  }
}
