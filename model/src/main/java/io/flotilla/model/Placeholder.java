package io.flotilla.model;

final class Placeholder {
  private Placeholder() {}
}
