package io.flotilla.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class ChatTemplateTest {
  private static final Map<String, String> TOKENS =
      Map.of("bos_token", "<|begin_of_text|>", "eos_token", "<|eot_id|>");
  private static final List<ChatMessage> HELLO = List.of(new ChatMessage("user", "Hello!"));

  private static String resource(String name) {
    try (@Nullable InputStream in =
        ChatTemplateTest.class.getResourceAsStream("templates/" + name)) {
      if (in == null) {
        throw new AssertionError("no resource " + name);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "smollm2.jinja",
        "qwen2.5.jinja",
        "qwen3.jinja",
        "llama-3.jinja",
        "llama-3.1.jinja",
        "llama-3.2.jinja",
        "pocket.jinja",
        "alternating.jinja"
      })
  void rendersAsTransformersDoes(String name) {
    ChatTemplate template = new JinjaChatTemplate(resource(name), TOKENS, JinjaTemplateTest.CLOCK);
    List<JsonNode> cases =
        Goldens.read("conversations.json").stream()
            .filter(golden -> golden.get("template").asString().equals(name))
            .toList();
    assertThat(cases).hasSizeGreaterThan(20);
    for (JsonNode golden : cases) {
      List<ChatMessage> messages = new ArrayList<>();
      for (JsonNode message : golden.get("messages")) {
        messages.add(
            new ChatMessage(message.get("role").asString(), message.get("content").asString()));
      }
      Map<String, Object> variables =
          new ObjectMapper().convertValue(golden.get("variables"), new TypeReference<>() {});
      boolean prompt = golden.get("prompt").asBoolean();
      if (golden.has("error")) {
        assertThatThrownBy(() -> template.render(messages, prompt, variables))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessage(golden.get("error").asString());
      } else {
        assertThat(template.render(messages, prompt, variables))
            .as("%s", golden)
            .isEqualTo(golden.get("text").asString());
      }
    }
  }

  @Test
  void readsTheFileBeforeTheConfiguration(@TempDir Path folder) throws IOException {
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"chat_template\": \"config {{ bos_token }}\", \"bos_token\": {\"content\": \"<s>\"}}");
    assertThat(ChatTemplate.load(folder).render(HELLO, true, Map.of())).isEqualTo("config <s>");
    Files.writeString(folder.resolve("chat_template.jinja"), "file {{ bos_token }}\n");
    assertThat(ChatTemplate.load(folder).render(HELLO, true, Map.of())).isEqualTo("file <s>");
  }

  @Test
  void takesTheDefaultOfNamedTemplates(@TempDir Path folder) throws IOException {
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"r\"},"
            + " {\"name\": \"default\", \"template\": \"d\"}]}");
    assertThat(ChatTemplate.load(folder).render(HELLO, true, Map.of())).isEqualTo("d");
  }

  @Test
  void isReplacedByATextOrAFile(@TempDir Path folder) throws IOException {
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"eos_token\": \"</s>\"}");
    Path file = Files.writeString(folder.resolve("mine.txt"), "plain");
    ChatTemplate text = ChatTemplate.load(folder, "{{ messages[0].content }}{{ eos_token }}");
    assertThat(text.render(HELLO, true, Map.of())).isEqualTo("Hello!</s>");
    assertThat(ChatTemplate.load(folder, file.toString()).render(HELLO, true, Map.of()))
        .isEqualTo("plain");
    assertThatThrownBy(() -> ChatTemplate.load(folder, "no-such-file.jinja"))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("no-such-file.jinja");
  }

  @Test
  void refusesConversationsWithoutATemplate(@TempDir Path folder) {
    ChatTemplate none = ChatTemplate.load(folder);
    assertThatThrownBy(() -> none.render(HELLO, true, Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("--chat-template");
  }

  @Test
  void namesAConfigurationThatIsCorrupt(@TempDir Path folder) throws IOException {
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"chat_template\": ");
    assertThatThrownBy(() -> ChatTemplate.load(folder))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("tokenizer_config.json is corrupt");
  }

  @ParameterizedTest
  @ValueSource(strings = {"{{ 'open", "{{ x", "{% if x", "{# x", "{{ (x }}", "{% raw %}{% x %}"})
  void namesATemplateThatIsNoJinja(String source) {
    assertThatThrownBy(() -> ChatTemplate.of(source, Map.of()))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("--chat-template");
  }

  @Test
  void readsTheTemplatesOfTheModelsOnThisMachine() {
    assertThat(ChatTemplate.load(Models.folder("pocket")).render(HELLO, true, Map.of()))
        .isEqualTo("<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n");
    assertThat(
            ChatTemplate.load(Models.folder("qwen3-tokenizer"))
                .render(HELLO, true, Map.of("enable_thinking", false)))
        .endsWith("<|im_start|>assistant\n<think>\n\n</think>\n\n");
  }

  @Test
  void rendersForManyThreads() throws Exception {
    ChatTemplate template =
        new JinjaChatTemplate(resource("qwen3.jinja"), TOKENS, JinjaTemplateTest.CLOCK);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Map<String, Future<String>> texts = new HashMap<>();
      for (int i = 0; i < 200; i++) {
        String content = "message " + i;
        List<ChatMessage> messages = List.of(new ChatMessage("user", content));
        texts.put(content, threads.submit(() -> template.render(messages, true, Map.of())));
      }
      for (Map.Entry<String, Future<String>> text : texts.entrySet()) {
        assertThat(text.getValue().get())
            .isEqualTo(
                "<|im_start|>user\n" + text.getKey() + "<|im_end|>\n<|im_start|>assistant\n");
      }
    }
  }

  @Test
  void rendersWithoutTheTokensThatAVocabularyLacks() {
    ChatTemplate template = ChatTemplate.of(resource("llama-3.jinja"), Map.of());
    assertThat(template.render(HELLO, false, Map.of())).startsWith("<|start_header_id|>user");
  }
}
