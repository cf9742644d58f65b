package io.flotilla.fleet.remote;

import java.io.IOException;

/** The other side said what nobody understands; the connection is of no use any more. */
final class ProtocolException extends IOException {
  private static final long serialVersionUID = 1;

  ProtocolException(String message) {
    super(message);
  }
}
