package io.flotilla.cli.models;

import picocli.CommandLine.Command;

/** Groups what is done with models on disk. */
@Command(
    name = "models",
    description = "List and fetch models in the Hugging Face hub's cache.",
    subcommands = {ListCommand.class, PullCommand.class})
public final class ModelsCommand {}
