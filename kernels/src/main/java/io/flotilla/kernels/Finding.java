package io.flotilla.kernels;

/**
 * What came of looking for one thing that a device needs.
 *
 * @param what such as {@code driver}
 * @param found what there is; or what is wrong with it and what to do about that
 * @param serves whether a device can be used with it
 */
public record Finding(String what, String found, boolean serves) {}
