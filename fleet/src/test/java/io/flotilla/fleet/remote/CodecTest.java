package io.flotilla.fleet.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.flotilla.engine.EngineCommand;
import io.flotilla.engine.EngineCommand.Abort;
import io.flotilla.engine.EngineCommand.Drain;
import io.flotilla.engine.EngineCommand.Submit;
import io.flotilla.engine.EngineListener.SequenceTimes;
import io.flotilla.engine.EngineStatistics;
import io.flotilla.engine.EngineStatistics.StageTime;
import io.flotilla.engine.TokenEvent;
import io.flotilla.engine.TokenEvent.FailureCode;
import io.flotilla.engine.TokenEvent.FinishReason;
import io.flotilla.engine.TokenEvent.Finished;
import io.flotilla.engine.TokenEvent.PromptScored;
import io.flotilla.engine.TokenEvent.Token;
import io.flotilla.engine.TokenSink;
import io.flotilla.fleet.remote.Report.Told;
import io.flotilla.model.sampling.SamplingParameters;
import io.flotilla.model.sampling.TokenLogprobs;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CodecTest {
  private static final TokenSink SINK = _ -> {};

  private final Random random = new Random();

  @RepeatedTest(20)
  void commandsComeOutAsTheyWentIn() throws IOException {
    List<EngineCommand> commands = List.of(submit(), new Abort(random.nextLong()), new Drain());
    FrameBuffer frames = new FrameBuffer();
    commands.forEach(command -> CommandCodec.write(command, frames));
    FrameReader reader = reader(bytes(frames));
    for (EngineCommand command : commands) {
      EngineCommand read = reader.next((type, in) -> CommandCodec.read(type, in, SINK));
      assertThat(read).usingRecursiveComparison().isEqualTo(command);
    }
    assertReadToTheEnd(reader);
  }

  @RepeatedTest(20)
  void reportsComeOutAsTheyWentIn() throws IOException {
    List<Report> reports = reports();
    FrameReader reader = reader(bytes(reports));
    for (Report report : reports) {
      Report read = reader.next(ReportCodec::read);
      assertThat(read).usingRecursiveComparison().isEqualTo(report);
    }
    assertReadToTheEnd(reader);
  }

  /** Whatever is added to the interfaces must be added here. */
  @Test
  void everyKindIsTested() {
    assertThat(reports().stream().map(Object::getClass).distinct().toList())
        .hasSize(Report.class.getPermittedSubclasses().length);
    assertThat(reports().stream().filter(Told.class::isInstance).map(CodecTest::eventType))
        .contains(TokenEvent.class.getPermittedSubclasses());
    assertThat(EngineCommand.class.getPermittedSubclasses()).hasSize(3);
  }

  private static Class<?> eventType(Report report) {
    return ((Told) report).event().getClass();
  }

  @Test
  void aFrameThatEndsTooEarlyIsRefused() throws IOException {
    byte[] whole = bytes(reports());
    for (int length = 1; length < whole.length; length++) {
      assertReadsToAnEnd(Arrays.copyOf(whole, length));
    }
    assertThatThrownBy(() -> readAll(Arrays.copyOf(whole, whole.length - 1)))
        .isInstanceOf(ProtocolException.class)
        .hasMessage("the stream ends within a frame");
  }

  @RepeatedTest(50)
  void noiseIsRefusedAndNeverThrowsAnythingElse() {
    byte[] noise = new byte[random.nextInt(200)];
    random.nextBytes(noise);
    assertReadsToAnEnd(noise);
    byte[] spoilt = bytes(reports());
    for (int i = 0; i < 5; i++) {
      spoilt[random.nextInt(spoilt.length)] = (byte) random.nextInt();
    }
    assertReadsToAnEnd(spoilt);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, Integer.MIN_VALUE, FrameBuffer.MAX_FRAME + 1})
  void aLengthThatNobodyWritesIsRefused(int length) {
    byte[] frame = ByteBuffer.allocate(64).putInt(length).put((byte) 1).array();
    assertThatThrownBy(() -> readAll(frame))
        .isInstanceOf(ProtocolException.class)
        .hasMessage("a frame of " + Integer.toUnsignedLong(length) + " bytes");
  }

  @Test
  void noMemoryIsTakenForALengthThatIsOnlySaid() {
    byte[] frame = ByteBuffer.allocate(5).putInt(FrameBuffer.MAX_FRAME).put((byte) 1).array();
    FrameReader reader = reader(frame);
    assertThatThrownBy(() -> reader.next(ReportCodec::read)).isInstanceOf(ProtocolException.class);
    assertThat(reader.capacity()).isLessThanOrEqualTo(1 << 20);
  }

  @Test
  void anArrayThatTheFrameCannotHoldIsRefused() {
    FrameBuffer frames = new FrameBuffer();
    frames.begin(10).put(Integer.MAX_VALUE).end();
    assertThatThrownBy(() -> readAll(bytes(frames)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("2147483647 elements");
  }

  @Test
  void bytesThatNobodyReadsAreRefused() {
    FrameBuffer frames = new FrameBuffer();
    frames.begin(7).put(3).putByte(0).end();
    assertThatThrownBy(() -> readAll(bytes(frames)))
        .isInstanceOf(ProtocolException.class)
        .hasMessage("1 bytes too many in a frame");
  }

  private static void assertReadToTheEnd(FrameReader reader) throws IOException {
    Report none = reader.next(ReportCodec::read);
    assertThat((Object) none).isNull();
  }

  private static void assertReadsToAnEnd(byte[] bytes) {
    try {
      readAll(bytes);
    } catch (ProtocolException _) {
      // As it should be; anything else fails the test.
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void readAll(byte[] bytes) throws IOException {
    FrameReader reader = reader(bytes);
    while (reader.next(ReportCodec::read) != null) {}
  }

  private static FrameReader reader(byte[] bytes) {
    return new FrameReader(new ByteArrayInputStream(bytes));
  }

  private static byte[] bytes(List<Report> reports) {
    FrameBuffer frames = new FrameBuffer();
    reports.forEach(report -> ReportCodec.write(report, frames));
    return bytes(frames);
  }

  private static byte[] bytes(FrameBuffer frames) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      frames.drainTo(out);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return out.toByteArray();
  }

  private Submit submit() {
    return new Submit(
        random.nextLong(),
        ints(1 + random.nextInt(5000)),
        ints(random.nextInt(10)),
        sampling(),
        1 + random.nextInt(1000),
        text(),
        SINK);
  }

  private SamplingParameters sampling() {
    return new SamplingParameters(
        random.nextFloat(),
        random.nextInt(),
        random.nextFloat(),
        random.nextFloat(),
        random.nextFloat(),
        random.nextFloat(),
        random.nextFloat(),
        Map.of(random.nextInt(), random.nextFloat(), 7, -1f),
        random.nextLong(),
        random.nextInt(),
        random.nextInt(),
        IntStream.of(ints(random.nextInt(4))).boxed().toList(),
        random.nextInt(),
        random.nextInt());
  }

  private List<Report> reports() {
    List<Report> reports = new ArrayList<>();
    reports.add(new Report.Loading(random.nextLong(), random.nextLong()));
    reports.add(new Report.Ready(random.nextInt(), statistics()));
    reports.add(new Told(new PromptScored(random.nextLong(), List.of(scores(), scores()))));
    reports.add(new Told(token(null)));
    reports.add(new Told(token(scores())));
    for (FinishReason reason : FinishReason.values()) {
      reports.add(
          new Told(
              new Finished(
                  random.nextLong(),
                  reason,
                  random.nextInt(),
                  random.nextInt(),
                  random.nextInt())));
    }
    for (FailureCode code : FailureCode.values()) {
      reports.add(new Told(new TokenEvent.Failed(random.nextLong(), code, text())));
    }
    reports.add(new Report.StepApplied(random.nextInt()));
    reports.add(
        new Report.SequenceEnded(
            new SequenceTimes(random.nextLong(), random.nextLong(), random.nextLong())));
    reports.add(new Report.TurnEnded(statistics()));
    reports.add(new Report.Failed(text()));
    return reports;
  }

  private Token token(@Nullable TokenLogprobs scores) {
    return new Token(random.nextLong(), random.nextInt(), random.nextInt(), scores);
  }

  private TokenLogprobs scores() {
    int top = random.nextInt(20);
    float[] logprobs = new float[top];
    for (int i = 0; i < top; i++) {
      logprobs[i] = random.nextFloat();
    }
    return new TokenLogprobs(
        random.nextInt(), random.nextFloat(), random.nextInt(), ints(top), logprobs);
  }

  private EngineStatistics statistics() {
    return new EngineStatistics(
        random.nextInt(),
        random.nextInt(),
        random.nextDouble(),
        random.nextLong(),
        random.nextLong(),
        random.nextLong(),
        random.nextLong(),
        random.nextLong(),
        random.nextLong(),
        List.of(new StageTime(random.nextLong(), random.nextLong()), new StageTime(1, 2)),
        random.nextLong());
  }

  private int[] ints(int count) {
    return random.ints(count).toArray();
  }

  /** Half of a surrogate pair among it. */
  private String text() {
    StringBuilder text = new StringBuilder("\ud800");
    random.ints(random.nextInt(30), 0, 1 << 16).forEach(unit -> text.append((char) unit));
    return text.toString();
  }
}
