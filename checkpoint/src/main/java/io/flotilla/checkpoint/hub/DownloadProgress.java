package io.flotilla.checkpoint.hub;

/**
 * How far a download is. What was in the cache before counts as done.
 *
 * @param model the model as it was asked for
 * @param file the file that is being fetched
 * @param fileBytes bytes of the file that are there
 * @param fileTotal bytes of the file
 * @param bytes bytes of all files that are there
 * @param total bytes of all files
 */
public record DownloadProgress(
    String model, String file, long fileBytes, long fileTotal, long bytes, long total) {}
