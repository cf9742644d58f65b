package io.flotilla.kernels;

/** A point in a stream's work that the host can wait for; see {@link Stream#mark}. */
public interface Mark {
  /** The mark of a stream whose work is done when it is enqueued. */
  Mark PASSED =
      new Mark() {
        @Override
        public boolean isPassed() {
          return true;
        }

        @Override
        public void await() {}
      };

  /** Whether all work enqueued before the mark is done. */
  boolean isPassed();

  /** Waits until it is. */
  void await();
}
