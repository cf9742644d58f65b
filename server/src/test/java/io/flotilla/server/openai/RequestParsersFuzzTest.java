package io.flotilla.server.openai;

import com.code_intelligence.jazzer.junit.FuzzTest;

/** Any bytes give a plan or a {@link RefusedException}. */
class RequestParsersFuzzTest {
  @FuzzTest(maxDuration = "30s")
  void chat(byte[] body) {
    try {
      ChatParser.parse(body, Requests.SERVED).requests(Requests.SERVED);
    } catch (RefusedException e) {
      e.error().json();
    }
  }

  @FuzzTest(maxDuration = "30s")
  void completion(byte[] body) {
    try {
      CompletionParser.parse(body, Requests.SERVED).requests(Requests.SERVED);
    } catch (RefusedException e) {
      e.error().json();
    }
  }

  @FuzzTest(maxDuration = "30s")
  void tokenization(byte[] body) {
    try {
      Tokenization.tokenize(body, Requests.SERVED);
    } catch (RefusedException e) {
      e.error().json();
    }
    try {
      Tokenization.detokenize(body, Requests.SERVED);
    } catch (RefusedException e) {
      e.error().json();
    }
  }
}
