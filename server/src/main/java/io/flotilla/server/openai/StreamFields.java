package io.flotilla.server.openai;

/**
 * How an answer is sent.
 *
 * @param stream as events
 * @param usage whether a last event has the usage
 */
record StreamFields(boolean stream, boolean usage) {
  static StreamFields read(Fields fields) {
    boolean stream = fields.flag("stream", false);
    Fields options = fields.object("stream_options");
    if (options == null) {
      return new StreamFields(stream, false);
    }
    if (!stream) {
      throw RefusedException.field(
          "stream_options", "stream_options needs stream to be true; set it or leave them out");
    }
    boolean usage = options.flag("include_usage", false);
    options.flag("include_obfuscation", false);
    if (options.flag("continuous_usage_stats", false)) {
      throw RefusedException.field(
          "stream_options.continuous_usage_stats",
          "stream_options.continuous_usage_stats is not supported yet; use include_usage");
    }
    options.refuseUnknown();
    return new StreamFields(true, usage);
  }
}
