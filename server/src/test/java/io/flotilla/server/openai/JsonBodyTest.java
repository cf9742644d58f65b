package io.flotilla.server.openai;

import static io.flotilla.server.openai.Requests.json;
import static io.flotilla.server.openai.Requests.refusal;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonBodyTest {
  @Test
  void readsAnObject() {
    assertThat(JsonBody.parse(json("{'a':'ü€😀'}")).text("a")).isEqualTo("ü€😀");
  }

  @Test
  void refusesAnEmptyBody() {
    assertThat(message(new byte[0])).isEqualTo("the body is empty; send a JSON object");
    assertThat(message(json(" \n"))).isEqualTo("the body is empty; send a JSON object");
  }

  @ParameterizedTest
  @ValueSource(strings = {"[]", "'text'", "1", "null", "true"})
  void refusesWhatIsNoObject(String body) {
    assertThat(message(json(body)))
        .isEqualTo("the body is JSON, but not an object; send a JSON object");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{",
        "{'a'}",
        "{'a':1,}",
        "{'a':NaN}",
        "{'a':Infinity}",
        "{'a':-Infinity}",
        "{'a':01}",
        "{'a':+1}",
        "{'a':.5}",
        "{a:1}",
        "{'a':1} {'b':2}",
        "{'a':1}x",
        "{'a':'\\x'}",
        "{'a':'line\nbreak'}",
        "// comment\n{}",
        "<html>",
      })
  void refusesWhatIsNoJson(String body) {
    assertThat(message(json(body))).startsWith("the body is not valid JSON: ");
  }

  @Test
  void refusesAKeyThatComesTwice() {
    assertThat(message(json("{'a':1,'b':2,'a':3}")))
        .startsWith("the body is not valid JSON: ")
        .contains("'a'".replace('\'', '"'));
  }

  @Test
  void refusesAKeyThatComesTwiceDeepInside() {
    assertThat(message(json("{'a':[{'b':1,'b':2}]}"))).startsWith("the body is not valid JSON: ");
  }

  @ParameterizedTest
  @ValueSource(ints = {0x80, 0xC0, 0xFF, 0xE2})
  void refusesBytesThatAreNoUtf8(int wrong) {
    byte[] body = json("{'a':'x'}");
    body[6] = (byte) wrong;
    assertThat(message(body)).startsWith("the body is not valid UTF-8");
  }

  @Test
  void refusesSurrogatesThatAreEncodedOneByOne() {
    byte[] body = json("{'a':'xyz'}");
    body[6] = (byte) 0xED;
    body[7] = (byte) 0xA0;
    body[8] = (byte) 0x80;
    assertThat(message(body)).startsWith("the body is not valid UTF-8");
  }

  @Test
  void refusesOtherEncodings() {
    assertThat(message("{\"a\":1}".getBytes(StandardCharsets.UTF_16)))
        .startsWith("the body is not valid UTF-8");
  }

  @Test
  void refusesDeepNests() {
    String deep = "{'a':" + "[".repeat(100_000) + "]".repeat(100_000) + "}";
    assertThat(message(json(deep))).startsWith("the body is not valid JSON: ").contains("64");
  }

  @Test
  void refusesNumbersOfAbsurdLength() {
    assertThat(message(json("{'a':" + "9".repeat(100_000) + "}")))
        .startsWith("the body is not valid JSON: ");
  }

  @Test
  void readsLongStrings() {
    String text = "x".repeat(25_000_000);
    assertThat(JsonBody.parse(json("{'a':'" + text + "'}")).text("a")).hasSize(text.length());
  }

  @Test
  void errorsShowNothingOfTheBody() {
    assertThat(message(json("{'messages':'my secret',secret"))).doesNotContain("my secret");
    assertThat(message(json("{'a':" + "secret".repeat(1000) + "}")).length()).isLessThan(300);
  }

  private static String message(byte[] body) {
    OpenAiError error = refusal(body, (bytes, _) -> JsonBody.parse(bytes));
    assertThat(error.status()).isEqualTo(400);
    assertThat(error.type()).isEqualTo("invalid_request_error");
    assertThat(error.param()).isNull();
    return error.message();
  }
}
