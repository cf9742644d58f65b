package io.flotilla.kernels;

/**
 * One rank's side of a group of ranks that exchange memory. Every rank of the group calls the same
 * operations in the same order, with the same shapes; {@link #send} and {@link #receive} concern
 * two ranks only. Operations are enqueued on the stream like those of {@link Ops}. Used by the
 * rank's thread alone, except where said.
 *
 * <p>On a CPU sums add the ranks' parts in the order of ranks, so that a result depends on the
 * parts alone: not on timing, not on the number of rows.
 *
 * <p>Every wait ends with a {@link CollectiveAbortedException} once the group's {@link AbortSignal}
 * is raised.
 */
public interface Collectives {
  /** The group of one rank, in which there is nothing to do. */
  Collectives ALONE = new LoneRank();

  /** This rank's number in the group, from 0. */
  int rank();

  /** Ranks of the group. */
  int size();

  /**
   * Replaces each rank's tensor by the sum over ranks.
   *
   * @param tensor F32 or the devices' type of activations, without gaps between its rows
   */
  void allReduce(Stream stream, Tensor tensor);

  /**
   * Puts the ranks' buffers one after another, on every rank.
   *
   * @param mine of the same length on every rank
   * @param all as long as those of all ranks; does not overlap {@code mine}
   */
  void allGather(Stream stream, Buffer mine, Buffer all);

  /**
   * Whether {@link #allReduce}, {@link #gatherColumns} and, of multiples of eight bytes, {@link
   * #allGather} and {@link #allToAll(Stream, Buffer, Buffer)} may be part of work that {@link
   * Stream#repeat} records. All ranks say the same.
   */
  boolean canRepeat();

  /**
   * Puts the ranks' columns next to each other, on every rank.
   *
   * @param mine F32, without gaps
   * @param all F32, as many rows; the columns of all ranks
   * @param first where this rank's are among them
   */
  void gatherColumns(Stream stream, Tensor mine, Tensor all, int first);

  /**
   * Gives each rank its part of the sum over ranks.
   *
   * @param all F32, without gaps; its rows are those of rank 0, then those of rank 1 ...
   * @param mine F32, without gaps; does not overlap {@code all}
   */
  void reduceScatter(Stream stream, Tensor all, Tensor mine);

  /**
   * Sends a part to each rank and receives one from each, this rank included, all as long.
   *
   * @param from the parts one after another, in the order of ranks
   * @param to where the parts go, in the order of ranks; does not overlap {@code from}
   */
  void allToAll(Stream stream, Buffer from, Buffer to);

  /**
   * Sends a part to each rank and receives one from each, this rank included.
   *
   * @param from the parts one after another, in the order of ranks
   * @param sentBytes the length of the part for each rank
   * @param to where the parts go, in the order of ranks; does not overlap {@code from}
   * @param receivedBytes the length of the part of each rank
   */
  void allToAll(Stream stream, Buffer from, long[] sentBytes, Buffer to, long[] receivedBytes);

  /** Copies the root's buffer to every rank's. */
  void broadcast(Stream stream, Buffer buffer, int root);

  /**
   * Sends a buffer to a rank, which {@link #receive}s it. It does not wait for the receiver before
   * as many messages as the group was made for are on their way.
   */
  void send(Stream stream, Buffer from, int receiver);

  /** Waits for the next message of a rank, which has exactly the length of {@code to}. */
  void receive(Stream stream, Buffer to, int sender);

  /** Whether the rank's thread waits for another rank now. Readable from any thread. */
  boolean isWaiting();
}
