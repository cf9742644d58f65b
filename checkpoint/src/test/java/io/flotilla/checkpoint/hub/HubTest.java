package io.flotilla.checkpoint.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.checkpoint.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HubTest {
  private static final String MODEL = "org/name";

  private final FakeHub server = new FakeHub();
  private final byte[] weights = new byte[3_000_000];
  private final List<DownloadProgress> heard = new ArrayList<>();

  @TempDir private Path folder;

  @BeforeEach
  void fillRepository() {
    new Random(1).nextBytes(weights);
    server.add("config.json", "{\"model_type\": \"llama\"}");
    server.add("tokenizer.json", "{}");
    server.add("README.md", "not needed");
    server.add("original/params.json", "not needed");
    server.addLarge("pytorch_model.bin", new byte[10]);
    server.addLarge("model.safetensors", weights);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void fetchesWhatServingTakesIntoTheLayoutOfTheHub() throws IOException {
    Path snapshot = hub("secret").resolve(MODEL, heard::add);

    Path model = cache().resolve("models--org--name");
    assertThat(snapshot).isEqualTo(model.resolve("snapshots").resolve(FakeHub.COMMIT));
    try (var files = Files.list(snapshot)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder("config.json", "tokenizer.json", "model.safetensors");
    }
    assertThat(snapshot.resolve("model.safetensors"))
        .isSymbolicLink()
        .hasBinaryContent(weights)
        .hasSameBinaryContentAs(model.resolve("blobs").resolve(FakeHub.sha256(weights)));
    assertThat(Files.readSymbolicLink(snapshot.resolve("model.safetensors")).isAbsolute())
        .isFalse();
    assertThat(model.resolve("blobs").resolve(FakeHub.gitHash(server.content("tokenizer.json"))))
        .exists();
    assertThat(model.resolve("refs/main")).hasContent(FakeHub.COMMIT);
  }

  @Test
  void saysHowFarItIs() {
    hub(null).resolve(MODEL, heard::add);
    DownloadProgress last = heard.getLast();
    assertThat(last.bytes()).isEqualTo(last.total()).isGreaterThan(weights.length);
    assertThat(last.model()).isEqualTo(MODEL);
    assertThat(heard.stream().map(DownloadProgress::bytes)).isSorted();
    assertThat(heard.stream().map(DownloadProgress::file).distinct())
        .containsExactly("tokenizer.json", "config.json", "model.safetensors");
  }

  @Test
  void keepsTheTokenFromOtherHosts() {
    hub("secret").resolve(MODEL, DownloadListener.NONE);
    assertThat(server.hubRequests)
        .hasSize(4)
        .allMatch(request -> request.endsWith("authorization=Bearer secret"));
    assertThat(server.cdnRequests)
        .containsExactly("/model.safetensors?signed=1 range=null authorization=null");
  }

  @Test
  void continuesAfterTheConnectionIsCut() {
    server.cuts.addAll(List.of(1_000_000, 500_000));
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(weights);
    // How much of a cut answer the HTTP client hands on varies: what it held back is asked again.
    assertThat(server.cdnRequests.stream().map(HubTest::rangeStart))
        .hasSize(3)
        .isSorted()
        .startsWith(0)
        .satisfies(starts -> assertThat(starts.get(1)).isBetween(1, 1_000_000))
        .satisfies(starts -> assertThat(starts.get(2)).isBetween(500_000, 1_500_000));
  }

  @Test
  void continuesWhatAnEarlierRunLeft() throws IOException {
    leaveIncomplete(Arrays.copyOf(weights, 2_000_000));
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(weights);
    assertThat(server.cdnRequests).singleElement().asString().contains("range=bytes=2000000-");
  }

  @Test
  void finishesWhatIsCompleteButUnnamed() throws IOException {
    leaveIncomplete(weights);
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(weights);
    assertThat(server.cdnRequests).isEmpty();
  }

  @Test
  void startsAnewWhenTheServerKnowsNoRanges() throws IOException {
    leaveIncomplete(Arrays.copyOf(weights, 2_000_000));
    server.ignoresRanges = true;
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(weights);
  }

  @Test
  void refusesAndDeletesWhatHasAnotherHash() throws IOException {
    byte[] damaged = Arrays.copyOf(weights, 2_000_000);
    damaged[5] ^= 1;
    leaveIncomplete(damaged);
    assertThatThrownBy(() -> hub(null).resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining("damaged")
        .hasMessageContaining(FakeHub.sha256(weights));
    assertThat(blobs()).allMatch(name -> name.length() == 40);

    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(weights);
  }

  @Test
  void givesUpAfterSeveralCutsWithoutProgressAndSaysHowToContinue() {
    server.cuts.addAll(List.of(1_000_000, 0, 0, 0, 0, 0));
    assertThatThrownBy(() -> hub(null).resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("continue at byte ");
    assertThat(hub(null).resolve(MODEL, DownloadListener.NONE)).exists();
  }

  @Test
  void replacesABlobOfTheWrongSize() throws IOException {
    Path blob = cache().resolve("models--org--name/blobs").resolve(FakeHub.sha256(weights));
    Files.createDirectories(blob.getParent());
    Files.write(blob, new byte[3]);
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(weights);
  }

  @Test
  void fetchesNothingTwice() {
    hub(null).resolve(MODEL, DownloadListener.NONE);
    server.hubRequests.clear();
    server.cdnRequests.clear();
    hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(server.hubRequests).singleElement().asString().startsWith("/api/models/");
    assertThat(server.cdnRequests).isEmpty();
  }

  @Test
  void asksNobodyForACommitThatIsCached() {
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    server.hubRequests.clear();
    assertThat(hub(null).resolve(MODEL + "@" + FakeHub.COMMIT, DownloadListener.NONE))
        .isEqualTo(snapshot);
    assertThat(server.hubRequests).isEmpty();
  }

  @Test
  void usesTheCacheWhenOffline() {
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    server.hubRequests.clear();
    assertThat(offline().resolve(MODEL, DownloadListener.NONE)).isEqualTo(snapshot);
    assertThat(server.hubRequests).isEmpty();
  }

  @Test
  void refusesWhatIsNotCachedWhenOffline() {
    assertThatThrownBy(() -> offline().resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(MODEL)
        .hasMessageContaining("HF_HUB_OFFLINE");
  }

  @Test
  void refusesAnIncompleteSnapshotWhenOffline() throws IOException {
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    Files.writeString(
        snapshot.resolve("model.safetensors.index.json"),
        "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}");
    assertThatThrownBy(() -> offline().resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("not complete");
  }

  @Test
  void usesTheCacheWhenTheHubCannotBeReached() {
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    Hub hub = hub(null);
    server.close();
    assertThat(hub.resolve(MODEL, DownloadListener.NONE)).isEqualTo(snapshot);
    assertThatThrownBy(() -> hub.resolve("org/other", DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("cannot be reached");
  }

  @Test
  void saysThatAGatedModelNeedsAToken() {
    server.refusal = 401;
    server.refusalCode = "GatedRepo";
    assertThatThrownBy(() -> hub(null).resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(MODEL + " is gated")
        .hasMessageContaining("HF_TOKEN");
    server.refusal = 403;
    assertThatThrownBy(() -> hub("secret").resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("HF_TOKEN has no access")
        .hasMessageNotContaining("secret");
  }

  @Test
  void saysThatARepositoryOrRevisionIsUnknown() {
    assertThatThrownBy(() -> hub(null).resolve("org/nothing", DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("org/nothing is not on")
        .hasMessageContaining("spelling");
    server.refusal = 404;
    server.refusalCode = "RevisionNotFound";
    assertThatThrownBy(() -> hub(null).resolve(MODEL + "@v2", DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("no revision v2");
  }

  @Test
  void namesTheGgufFilesOfARepositoryWithoutSafetensors() {
    server.files.remove("model.safetensors");
    server.addLarge("name-q8_0.gguf", new byte[100]);
    assertThatThrownBy(() -> hub(null).resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("org/name/name-q8_0.gguf");
    Path file = hub(null).resolve(MODEL + "/name-q8_0.gguf", DownloadListener.NONE);
    assertThat(file).hasBinaryContent(new byte[100]);
    assertThat(offline().resolve(MODEL + "/name-q8_0.gguf", DownloadListener.NONE)).isEqualTo(file);
  }

  @Test
  void refusesPyTorchWeights() {
    server.files.remove("model.safetensors");
    assertThatThrownBy(() -> hub(null).resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(".bin");
  }

  @Test
  void fetchesTheShardsOfAnIndexOnly() throws IOException {
    server.add("model.safetensors.index.json", "{\"weight_map\": {}}");
    server.addLarge("model-00001-of-00001.safetensors", new byte[50]);
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("model-00001-of-00001.safetensors")).exists();
    assertThat(snapshot.resolve("model.safetensors")).doesNotExist();
  }

  @Test
  void fetchesNoWeightsWhereNoneAreWanted() throws IOException {
    Path snapshot = hub(null).resolveWithoutWeights(MODEL, DownloadListener.NONE);
    assertThat(snapshot.resolve("tokenizer.json")).exists();
    assertThat(snapshot.resolve("model.safetensors")).doesNotExist();
    assertThat(offline().resolveWithoutWeights(MODEL, DownloadListener.NONE)).isEqualTo(snapshot);
    assertThatThrownBy(() -> offline().resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("not complete");
  }

  @Test
  void refusesNamesThatLeaveTheCache() {
    server.add("../../evil.json", "{}");
    assertThatThrownBy(() -> hub(null).resolve(MODEL, DownloadListener.NONE))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("../../evil.json");
  }

  @Test
  void keepsWhatArrivedWhenCancelled() throws Exception {
    Hub hub = hub(null);
    List<Throwable> thrown = new ArrayList<>();
    Thread thread =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    hub.resolve(
                        MODEL,
                        progress -> {
                          if (progress.file().equals("config.json")) {
                            Thread.currentThread().interrupt();
                          }
                        });
                  } catch (CancellationException e) {
                    thrown.add(e);
                  }
                });
    thread.join(Duration.ofSeconds(20));
    assertThat(thrown).hasSize(1);
    assertThat(blobs()).contains(FakeHub.gitHash(server.content("config.json")));
  }

  @Test
  void listsCachedModels() {
    Path snapshot = hub(null).resolve(MODEL, DownloadListener.NONE);
    long bytes = weights.length + 23L + 2;
    assertThat(hub(null).cached()).containsExactly(new CachedModel(MODEL, "main", bytes, snapshot));
  }

  @Test
  void listsNothingWhereThereIsNoCache() {
    assertThat(hub(null).cached()).isEmpty();
  }

  @Test
  void takesLocalPathsAsTheyAre() {
    assertThat(hub(null).resolve(folder.toString(), DownloadListener.NONE)).isEqualTo(folder);
    assertThat(server.hubRequests).isEmpty();
  }

  @Test
  void refusesWhatIsNoModelName() {
    for (String name : List.of("./missing", "/missing/folder", "justname", "a/b/c", "a/../b", "")) {
      assertThatThrownBy(() -> hub(null).resolve(name, DownloadListener.NONE))
          .as(name)
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("ORG/NAME");
    }
  }

  private static int rangeStart(String request) {
    Matcher range = Pattern.compile("range=bytes=(\\d+)-").matcher(request);
    return range.find() ? Integer.parseInt(range.group(1)) : 0;
  }

  private void leaveIncomplete(byte[] content) throws IOException {
    Path blobs = cache().resolve("models--org--name/blobs");
    Files.createDirectories(blobs);
    Files.write(blobs.resolve(FakeHub.sha256(weights) + ".incomplete"), content);
  }

  private List<String> blobs() throws IOException {
    try (var files = Files.list(cache().resolve("models--org--name/blobs"))) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  private Path cache() {
    return folder.resolve("hub");
  }

  private Hub hub(@Nullable String token) {
    HubSettings settings = new HubSettings(server.endpoint(), cache(), token, false);
    return new Hub(settings, Duration.ofMillis(1));
  }

  private Hub offline() {
    return new Hub(new HubSettings(server.endpoint(), cache(), null, true));
  }
}
